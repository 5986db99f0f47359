"""An agent. Its node says which: --node-config 'agent=0'."""
import pathlib

import symma

app = symma.flower.client_app(pathlib.Path(__file__).with_name("fleet.toml"))
