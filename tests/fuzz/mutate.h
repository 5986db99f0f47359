// Damage by form: a change that keeps a file's frame whole, so that what lies behind the frame is reached.
// One time in some the bytes themselves are damaged.
#pragma once

#include <string>

#include "fuzz/dice.h"

namespace fuzz {

std::string mutate_bytes(std::string, Dice&);
std::string mutate_text(std::string, Dice&);         // tokens and lines: TOML, CSV, lines of JSON
std::string mutate_json(const std::string&, Dice&);  // a node of the tree; lines of objects are each a tree
std::string mutate_safetensors(const std::string&, Dice&);
std::string mutate_png(const std::string&, Dice&);
std::string mutate_gzip(const std::string&, Dice&);  // of text
std::string mutate_zip(const std::string&, Dice&);   // of stored entries

// By its name: .toml, .csv, .csv.gz, .zip, .png, .json, .jsonl, .safetensors.
std::string mutate(const std::string& name, const std::string& bytes, Dice&);

// Deflate in gzip's frame, and back; "" where it is none.
std::string gzipped(const std::string&);
std::string gunzipped(const std::string&);

}  // namespace fuzz
