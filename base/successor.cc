#include "base/successor.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/log.h"

extern char** environ;

namespace fealty {
namespace {

// "MEMORY,PIPE": descriptors.
constexpr char kVariable[] = "FEALTY_HANDOVER";
constexpr char kReady = 'R';

Error failed(const char* what) {
  return Error{std::string(what) + ": " + std::strerror(errno)};
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::string& handover) {
  const std::string prefix = std::string(kVariable) + "=";
  std::vector<std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view variable(*at);
    if (!variable.starts_with(prefix)) variables.emplace_back(variable);
  }
  variables.push_back(prefix + handover);
  return variables;
}

// Starts the program with these descriptors open, as it was started itself.
Result<pid_t> spawn(const Program& program, const std::vector<int>& fds,
                    const std::string& handover) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  // The same number: it stays open.
  for (const int fd : fds) {
    ::posix_spawn_file_actions_adddup2(&actions, fd, fd);
  }
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  const sched_param priority{};
  ::posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER);
  ::posix_spawnattr_setschedparam(&attributes, &priority);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSCHEDULER);
  std::vector<std::string> arguments = program.arguments;
  std::vector<std::string> environment = environment_with(handover);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, program.path.c_str(), &actions, &attributes,
                    pointers_to(arguments).data(),
                    pointers_to(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error == 0) return pid;
  return Error{program.path + " cannot be started: " + std::strerror(error)};
}

// Memory that holds `bytes`, and is sealed.
Result<UniqueFd> write_memory(std::string_view bytes) {
  UniqueFd memory(::memfd_create("fealty-handover",
                                 MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return failed("no memory to hand over");
  while (!bytes.empty()) {
    const ssize_t written = ::write(memory.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("cannot write the handover");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  ::fcntl(memory.get(), F_ADD_SEALS,
          F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return memory;
}

Status read_memory(int fd, std::string& bytes) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return failed("cannot read the handover");
  bytes.resize(static_cast<std::size_t>(status.st_size));
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + at, bytes.size() - at,
                                static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Error{"cannot read the handover"};
    at += static_cast<std::size_t>(got);
  }
  return Ok{};
}

}  // namespace

Program Program::own(int argc, char** argv) {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return {error ? std::string() : path.string(), {argv, argv + argc}};
}

// -------------------------------------------------------------------- the old

Successor::Successor(Loop& loop, Program program, std::int64_t start_most_ms)
    : program_(std::move(program)), start_most_ms_(start_most_ms) {
  io_.bind<&Successor::on_said>(loop, this);
  timer_.bind<&Successor::on_late>(loop, this);
}

Status Successor::start(std::string_view bytes, std::vector<int> fds, Done done) {
  if (program_.path.empty()) {
    return Error{"the system does not say where this program is"};
  }
  const auto memory = write_memory(bytes);
  if (!memory) return memory.error();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failed("no pipe");
  UniqueFd reads(ends[0]);
  const UniqueFd writes(ends[1]);
  fds.push_back(memory->get());
  fds.push_back(writes.get());
  const auto pid = spawn(program_, fds,
                         std::to_string(memory->get()) + "," +
                             std::to_string(writes.get()));
  if (!pid) return pid.error();
  pid_ = *pid;
  says_ = std::move(reads);
  done_ = std::move(done);
  is_late_ = false;
  io_.start(says_.get(), EV_READ);
  timer_.start(start_most_ms_);
  log::info("upgrade: {} was started as pid {}", program_.path, pid_);
  return Ok{};
}

void Successor::on_said(int) {
  char said = 0;
  const ssize_t bytes = ::read(says_.get(), &said, 1);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  stop_listening();
  const Done done = std::exchange(done_, nullptr);
  const std::string who = "pid " + std::to_string(pid_);
  if (bytes == 1 && said == kReady) return done(Ok{});
  reap();
  done(Error{who + (is_late_ ? " did not serve after " +
                                   std::to_string(start_most_ms_ / 1'000) + " s"
                             : " ended before it served") +
             "; this process goes on"});
}

void Successor::give_up() {
  if (!is_starting()) return;
  stop_listening();
  done_ = nullptr;
  reap();
}

void Successor::stop_listening() {
  io_.stop();
  timer_.stop();
  says_.reset();
}

// Whatever it is at: whoever serves waits for nobody.
void Successor::reap() {
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
}

// It does not come up: its end of the pipe closes with it.
void Successor::on_late() {
  is_late_ = true;
  ::kill(pid_, SIGKILL);
}

// -------------------------------------------------------------------- the new

Result<std::optional<Inheritance>> Inheritance::take() {
  const char* const variable = std::getenv(kVariable);
  if (variable == nullptr) return std::optional<Inheritance>();
  int memory = -1;
  int says = -1;
  const bool fine = std::sscanf(variable, "%d,%d", &memory, &says) == 2 &&
                    memory >= 3 && says >= 3;
  ::unsetenv(kVariable);
  if (!fine) return Error{std::string(kVariable) + " is not of this program's"};
  // Who gave up root cannot be looked into by others of its user; who was started by
  // such a one could, and has the same secrets.
  if (::geteuid() != 0) ::prctl(PR_SET_DUMPABLE, 0);
  Inheritance inheritance;
  inheritance.says_ = UniqueFd(says);
  ::fcntl(says, F_SETFD, FD_CLOEXEC);
  const UniqueFd from(memory);
  const Status read = read_memory(memory, inheritance.bytes_);
  if (!read) return read.error();
  return std::optional<Inheritance>(std::move(inheritance));
}

void Inheritance::forget_bytes() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
  bytes_.clear();
}

void Inheritance::tell() {
  if (!says_.valid()) return;
  if (::write(says_.get(), &kReady, 1) != 1) {
    log::warning("upgrade: the process before this one has gone already");
  }
  says_.reset();
}

}  // namespace fealty
