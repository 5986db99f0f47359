// Who a process is, by the variables of those who start processes; and which agents it owns.
#include <gtest/gtest.h>

#include "symma/core/errors.h"
#include "symma/fleet/placement.h"

namespace symma {
namespace {

std::optional<Launch> with(const std::map<std::string, std::string>& set) {
  return launched([&](const char* name) {
    const auto it = set.find(name);
    return it == set.end() ? nullptr : it->second.c_str();
  });
}

TEST(Launched, ByNobodyOrAloneIsOneProcess) {
  EXPECT_FALSE(with({}));
  EXPECT_FALSE(with({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
  // A batch script of Slurm is one process, whatever its job has.
  EXPECT_FALSE(with({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "7"}}));
}

TEST(Launched, ByEachLauncher) {
  const auto torchrun =
      with({{"RANK", "3"}, {"WORLD_SIZE", "8"}, {"MASTER_ADDR", "10.0.0.5"}, {"MASTER_PORT", "29500"}});
  ASSERT_TRUE(torchrun);
  EXPECT_EQ(torchrun->place, 3);
  EXPECT_EQ(torchrun->places, 8);
  EXPECT_EQ(torchrun->host, "10.0.0.5");
  EXPECT_NE(torchrun->port, 29500);
  const auto slurm = with({{"SLURM_PROCID", "5"},
                           {"SLURM_STEP_NUM_TASKS", "8"},
                           {"SLURM_STEP_NODELIST", "node[03-06,9],far1"},
                           {"SLURM_JOB_ID", "4711"},
                           {"SLURM_STEP_ID", "0"}});
  ASSERT_TRUE(slurm);
  EXPECT_EQ(slurm->place, 5);
  EXPECT_EQ(slurm->host, "node03");
  const auto mpi = with({{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                         {"PMIX_NAMESPACE", "prterun-1"}});
  ASSERT_TRUE(mpi);
  EXPECT_EQ(mpi->by, "Open MPI");
  EXPECT_EQ(mpi->host, "");
  const auto apart = with(
      {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(apart->host, "?");
  EXPECT_EQ(with({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}})->by, "PMI");
  // All processes of a job take the same port, two jobs as a rule different ones.
  EXPECT_EQ(torchrun->port,
            with({{"RANK", "0"}, {"WORLD_SIZE", "8"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "29500"}})->port);
}

TEST(Launched, VariablesThatMakeNoSenseAreRefused) {
  EXPECT_THROW(with({{"RANK", "8"}, {"WORLD_SIZE", "8"}}), UserError);
  EXPECT_THROW(with({{"RANK", "-1"}, {"WORLD_SIZE", "8"}}), UserError);
  EXPECT_THROW(with({{"RANK", "two"}, {"WORLD_SIZE", "8"}}), UserError);
}

TEST(FirstHost, OfSlurmsLists) {
  EXPECT_EQ(first_host("a"), "a");
  EXPECT_EQ(first_host("a,b[1-2]"), "a");
  EXPECT_EQ(first_host("n[1-3]"), "n1");
  EXPECT_EQ(first_host("n[001,7]"), "n001");
  EXPECT_EQ(first_host("n[07]-ib,b"), "n07-ib");
}

TEST(Shares, AreWholeBlocksSideBySide) {
  for (const auto& [agents, block, places] : {std::array<int64_t, 3>{6, 256, 4},
                                              {1000, 256, 3},
                                              {1000, 256, 4},
                                              {10, 2, 4},
                                              {7, 1, 7},
                                              {100000, 148, 4}}) {
    const auto shares = shares_of(agents, block, places);
    ASSERT_EQ(static_cast<int64_t>(shares.size()), places);
    int64_t next = 0;
    for (const auto& share : shares) {
      ASSERT_FALSE(share.empty());
      if ((agents + block - 1) / block >= places) {
        EXPECT_EQ(share.front() % block, 0);
      }
      for (const int64_t a : share) EXPECT_EQ(a, next++);
    }
    EXPECT_EQ(next, agents);
  }
  EXPECT_THROW(shares_of(3, 1, 4), UserError);
}

}  // namespace
}  // namespace symma
