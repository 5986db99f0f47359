"""The server: rule, optimiser and privacy are those of the experiment file."""
import pathlib

import symma

app = symma.flower.server_app(pathlib.Path(__file__).with_name("fleet.toml"), timeout=120)
