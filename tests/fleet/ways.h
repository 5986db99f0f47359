// Every way to exchange that a file can ask for, as sections of settings.
#pragma once

#include <fmt/format.h>

#include "symma/exchange/exchange.h"

namespace symma {

inline std::vector<Json> every_way() {
  std::vector<Json> out;
  const auto add = [&](const std::string& sections) { out.push_back(Json::parse("{" + sections + "}")); };
  const auto exchange = [](const std::string& topology, const std::string& payload) {
    return fmt::format(R"("exchange": {{"topology": "{}", "payload": "{}", "every": 2}})", topology, payload);
  };
  const std::string graphs[] = {exchange("full", "parameters"), exchange("star", "parameters"),
                                exchange("full", "updates"), exchange("star", "updates")};
  for (const auto& name : AggregatorRegistry::instance().names())
    for (const auto& graph : {graphs[0], graphs[3]})
      add(graph +
          fmt::format(R"(, "aggregator": {{"kind": "{}", "bad": 1}}, "faults": {{"agents": [4]}})", name));
  for (const auto& name : PreAggregatorRegistry::instance().names())
    add(graphs[0] + fmt::format(R"(, "aggregator": {{"kind": "median", "before": ["{}"], "bad": 1}})", name));
  for (const auto& name : CompressorRegistry::instance().names())
    for (const auto& graph : graphs)
      add(graph + fmt::format(R"(, "compression": {{"kind": "{}", "threshold": 0.001}})", name));
  for (const auto& name : AttackRegistry::instance().names())
    for (const auto& graph : {graphs[0], graphs[1], graphs[2]})
      add(graph +
          fmt::format(R"(, "aggregator": {{"kind": "median"}}, "faults": {{"kind": "{}", "agents": [1]}})",
                      name));
  for (const auto& graph : graphs)
    add(graph + R"(, "faults": {"lost": 0.2, "late": 0.3, "doubled": 0.2, "reordered": 0.5, "cut": 0.2})");
  for (const char* sampling : {"fixed", "poisson"})
    add(graphs[3] +
        fmt::format(R"(, "server": {{"share": 0.6, "sampling": "{}"}}, "faults": {{"lost": 0.2, "late": 0.3,
                          "doubled": 0.2, "reordered": 0.5, "cut": 0.2}})",
                    sampling));
  for (const auto& graph : {graphs[0], graphs[2]})
    add(graph +
        R"(, "compression": {"kind": "top_k", "gamma": 0.3}, "faults": {"lost": 0.2, "late": 0.3, "cut": 0.2})");
  for (const char* strategy : {"gradient-tracking", "exact-diffusion"})
    for (const char* more :
         {"", R"(, "compression": {"kind": "sign", "gamma": 0.5})", R"(, "faults": {"doubled": 0.3})"})
      add(fmt::format(R"("exchange": {{"topology": "ring", "strategy": "{}"}})", strategy) + more);
  for (const char* more :
       {"", R"(, "faults": {"lost": 0.2, "late": 0.3, "doubled": 0.2, "reordered": 0.5, "cut": 0.2})"})
    add(std::string(R"("exchange": {"topology": "ring", "strategy": "push-sum"})") + more);
  add(graphs[3] + R"(, "server": {"secure": true}, "faults": {"lost": 0.1})");
  add(graphs[3] +
      R"(, "server": {"secure": true}, "privacy": {"unit": "agent", "where": "distributed", "clip": 0.1,
                      "noise_key": "seed"})");
  for (const char* optimizer : {"sgd", "adam", "yogi", "adagrad"})
    add(graphs[3] +
        fmt::format(R"(, "server": {{"optimizer": "{}", "share": 0.6, "sampling": "fixed"}})", optimizer));
  add(graphs[3] + R"(, "server": {"share": 0.5}, "privacy": {"unit": "agent", "where": "server", "clip": 0.1,
                      "adaptive": true, "noise_key": "seed"})");
  add(graphs[3] +
      R"(, "server": {"share": 0.5, "sampling": "turns"}, "privacy": {"unit": "agent", "where": "server",
                      "mechanism": "tree", "restart": 2, "noise_key": "seed"})");
  add(graphs[2] +
      R"(, "privacy": {"unit": "agent", "clip": 0.1, "noise_key": "seed"}, "compression": {"kind": "half"})");
  add(graphs[0] + R"(, "privacy": {"unit": "task", "clip": 0.1, "noise_key": "seed"})");
  // What these keep of tasks begins after the start, and not for all agents at once.
  for (const char* estimator : {"unroll", "pes"})
    add(graphs[3] +
        fmt::format(R"(, "learner": {{"kind": "mlp_optimizer", "estimator": "{}", "unroll": 2, "steps": 6,
                          "start": "drawn"}}, "server": {{"share": 0.6, "sampling": "fixed"}})",
                    estimator));
  add(graphs[0] +
      R"(, "learner": {"kind": "pretrain", "proximal": 0.1}, "privacy": {"unit": "example", "noise_key": "seed"})");
  return out;
}

}  // namespace symma
