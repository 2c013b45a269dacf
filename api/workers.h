#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fealty::api {

// A fixed number of threads and the jobs that wait for them. Who brings jobs
// bounds how many there are. Thread-safe.
class Workers {
 public:
  using Job = std::function<void()>;

  explicit Workers(std::size_t count);
  // Does what waits, and ends.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void add(Job job);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Job> jobs_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fealty::api
