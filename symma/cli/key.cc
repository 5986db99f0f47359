// symma key NAME: a key of one's own, to join a fleet with or to have one.
#include <fmt/format.h>

#include <filesystem>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/transports/members.h"

namespace symma {
namespace {

void run_key(const std::string& name, bool show) {
  namespace fs = std::filesystem;
  const std::string path = fs::path(name).extension() == ".key" ? name : name + ".key";
  if (fs::path(name).filename().empty() || fs::path(path).stem().empty())
    throw UserError("symma key", "\"" + name + "\" is no name", "name it such as agent12");
  const Key open = show ? public_key(read_key(path)) : make_key(path);
  fmt::print("{}  {}\n", text_of(open), fs::path(path).stem().string());
  if (!show)
    std::fprintf(stderr,
                 "%s is secret. The line above is not: whoever runs the fleet writes it into the list of "
                 "members, after the agents that it is for.\n",
                 path.c_str());
}

}  // namespace

void add_key(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  auto show = std::make_shared<bool>(false);
  auto* c =
      app.add_subcommand("key", "make a key to join a fleet with, and print what others may know of it");
  c->add_option("name", *name, "of whom the key is; NAME.key is written")->required();
  c->add_flag("--show", *show, "print that of a key that is there");
  c->callback([name, show] { run_key(*name, *show); });
}

}  // namespace symma
