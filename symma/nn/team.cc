#include "symma/nn/team.h"

namespace symma {
namespace {

// Points of one network that are worth a piece of work. Many points are cut into pieces of about this many:
// each stays in the cache from layer to layer, and pieces run in parallel. It does not depend on the threads.
constexpr int64_t kPiece = 256;

Tensor in_pieces(const Model& model, const Tensor& theta, const Tensor& x /*[Q,M,in]*/) {
  const int64_t q = x.size(0), m = x.size(1), pieces = (m + kPiece - 1) / kPiece;
  if (pieces <= 1) return model.forward(theta, x, Mode::kTrain);
  const int64_t size = (m + pieces - 1) / pieces;
  const Tensor padded = pieces * size == m ? x : at::constant_pad_nd(x, {0, 0, 0, pieces * size - m});
  const Tensor rows = theta.unsqueeze(1).expand({q, pieces, theta.size(1)}).reshape({q * pieces, -1});
  const Tensor y = model.forward(rows, padded.reshape({q * pieces, size, x.size(2)}), Mode::kTrain);
  return y.reshape({q, pieces * size, -1}).narrow(1, 0, m);
}

}  // namespace

TeamNet::TeamNet(const Model& model, int64_t players, bool shared)
    : model_(model),
      recurrent_(dynamic_cast<const Recurrent*>(&model)),
      players_(players),
      columns_(model.layout().size() * (shared ? 1 : players)),
      shared_(shared) {}

Tensor TeamNet::init(std::span<const Rng> keys) const {
  if (shared_) return model_.init(keys);
  std::vector<Rng> each;
  for (const Rng& key : keys) {
    const auto players = split_keys(key, "player", players_);
    each.insert(each.end(), players.begin(), players.end());
  }
  return model_.init(each).reshape({static_cast<int64_t>(keys.size()), columns_});
}

Tensor TeamNet::forward(const Tensor& theta, const Tensor& given, const Tensor& memory) const {
  TORCH_CHECK(theta.size(1) == columns_, "a row of ", theta.size(1), " columns; the team's has ", columns_);
  const Tensor x = given.to(theta.scalar_type());
  const int64_t r = x.size(0), l = x.size(1), t = x.size(2), a = x.size(3), in = x.size(4);
  if (shared_) {
    if (!recurrent_) return in_pieces(model_, theta, x.reshape({r, l * t * a, in})).view({r, l, t, a, -1});
    const Tensor h = memory.defined() ? memory.reshape({r, l * a, -1}) : memory;
    const Tensor y = recurrent_->unroll(theta, x.transpose(1, 2).reshape({r, t, l * a, in}), h);
    return y.reshape({r, t, l, a, -1}).transpose(1, 2);
  }
  const Tensor rows = theta.reshape({r * a, columns_ / a});
  if (!recurrent_) {
    const Tensor y = in_pieces(model_, rows, x.permute({0, 3, 1, 2, 4}).reshape({r * a, l * t, in}));
    return y.reshape({r, a, l, t, -1}).permute({0, 2, 3, 1, 4});
  }
  const Tensor h = memory.defined() ? memory.transpose(1, 2).reshape({r * a, l, -1}) : memory;
  const Tensor y = recurrent_->unroll(rows, x.permute({0, 3, 2, 1, 4}).reshape({r * a, t, l, in}), h);
  return y.reshape({r, a, t, l, -1}).permute({0, 3, 2, 1, 4});
}

Tensor TeamNet::act(const Tensor& theta, const Tensor& x, Tensor& memory) const {
  if (!recurrent_) return forward(theta, x.unsqueeze(2)).squeeze(2);
  const int64_t r = x.size(0), l = x.size(1), a = x.size(2), h = recurrent_->hidden();
  const int64_t q = shared_ ? r : r * a, k = shared_ ? l * a : l;
  const auto to_rows = [&](const Tensor& y) {
    return (shared_ ? y : y.transpose(1, 2)).reshape({q, k, y.size(3)});
  };
  const auto to_players = [&](const Tensor& y) {
    return shared_ ? y.reshape({r, l, a, -1}) : y.reshape({r, a, l, -1}).transpose(1, 2);
  };
  const Tensor rows = theta.reshape({q, -1});
  if (!memory.defined())
    memory = recurrent_->first(rows).view({r, 1, shared_ ? 1 : a, h}).expand({r, l, a, h});
  const auto [y, next] = recurrent_->advance(rows, to_rows(x.to(theta.scalar_type())), to_rows(memory));
  memory = to_players(next);
  return to_players(y);
}

Tensor TeamNet::count(const Tensor& theta, const Tensor& x, const Tensor& weight) const {
  const auto* keeper = dynamic_cast<const HasInputStatistics*>(&model_);
  if (!keeper) return theta;
  const int64_t r = x.size(0), a = x.size(3), in = x.size(4);
  if (shared_) return keeper->count(theta, x.reshape({r, -1, in}), weight.reshape({r, -1}));
  return keeper
      ->count(theta.reshape({r * a, columns_ / a}), x.permute({0, 3, 1, 2, 4}).reshape({r * a, -1, in}),
              weight.permute({0, 3, 1, 2}).reshape({r * a, -1}))
      .reshape({r, columns_});
}

Tensor TeamNet::with_statistics(const Tensor& theta, const Tensor& from) const {
  const auto* keeper = dynamic_cast<const HasInputStatistics*>(&model_);
  if (!keeper) return theta;
  const int64_t q = theta.size(0) * (shared_ ? 1 : players_), own = keeper->statistics();
  const Tensor rows = theta.reshape({q, -1});
  return at::cat({from.reshape({q, -1}).narrow(1, 0, own), rows.narrow(1, own, rows.size(1) - own)}, 1)
      .reshape(theta.sizes());
}

}  // namespace symma
