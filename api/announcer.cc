#include "api/announcer.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/log.h"
#include "base/pidfd.h"

namespace fealty::api {
namespace {

constexpr std::int64_t kRetry_ms = 2'000;

// A build has all programs in one folder, an installation this one in sbin.
std::string find_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto folder = self.parent_path();
  for (const auto& path : {folder / "fealty", folder / "../bin/fealty"}) {
    if (::access(path.c_str(), X_OK) == 0) return path.string();
  }
  return "/usr/bin/fealty";
}

// In the child: nothing that allocates.
[[noreturn]] void become(char* const* arguments, pid_t parent) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() == parent) ::execv(arguments[0], arguments);
  ::_exit(127);
}

}  // namespace

Announcer::Announcer(Loop& loop, const SubscribeOptions& options,
                     const Address& address) {
  arguments_ = {find_program(), "subscribe",       "--server",
                options.server, "--key",           options.key,
                "--addr",       address.to_string()};
  for (const auto& [name, value] :
       {std::pair("--sign", &options.sign), std::pair("--sni-key", &options.sni_key),
        std::pair("--sni-crt", &options.sni_crt),
        std::pair("--sni-ca", &options.sni_ca)}) {
    if (value->empty()) continue;
    arguments_.emplace_back(name);
    arguments_.push_back(*value);
  }
  exit_.bind<&Announcer::on_exit>(loop, this);
  retry_.bind<&Announcer::on_retry>(loop, this);
}

Announcer::~Announcer() { stop(); }

void Announcer::start() {
  std::vector<char*> words;
  for (std::string& word : arguments_) words.push_back(word.data());
  words.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(words.data(), parent);
  if (pid < 0) {
    log::error("cannot start {}: {}", arguments_[0], std::strerror(errno));
    return retry_.start(kRetry_ms);
  }
  pid_ = pid;
  process_ = open_pidfd(pid);
  if (process_.valid()) exit_.start(process_.get(), EV_READ);
}

void Announcer::reap() {
  exit_.stop();
  process_.reset();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void Announcer::on_exit(int) {
  reap();
  log::warning("{} subscribe ended; it is started again in {} s", arguments_[0],
               kRetry_ms / 1000);
  retry_.start(kRetry_ms);
}

void Announcer::on_retry() { start(); }

void Announcer::leave() {
  retry_.stop();
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

void Announcer::stop() {
  retry_.stop();
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  pollfd ended{process_.get(), POLLIN, 0};
  if (::poll(&ended, 1, kStopMs) != 1) ::kill(pid_, SIGKILL);
  reap();
}

}  // namespace fealty::api
