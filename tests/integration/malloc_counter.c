/* Preloaded into the router by test_steady.py: counts allocations, and prints
 * the count to stderr on SIGRTMIN+5. For glibc. */

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

extern void* __libc_malloc(size_t bytes);
extern void* __libc_calloc(size_t count, size_t bytes);
extern void* __libc_realloc(void* block, size_t bytes);

static atomic_ulong allocations;

void* malloc(size_t bytes) {
  atomic_fetch_add(&allocations, 1);
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  atomic_fetch_add(&allocations, 1);
  return __libc_calloc(count, bytes);
}

void* realloc(void* block, size_t bytes) {
  atomic_fetch_add(&allocations, 1);
  return __libc_realloc(block, bytes);
}

static void print_count(int signal_number) {
  char line[64];
  const int bytes = snprintf(line, sizeof line, "allocations %lu\n",
                             atomic_load(&allocations));
  (void)signal_number;
  if (write(STDERR_FILENO, line, (size_t)bytes) < 0) return;
}

__attribute__((constructor)) static void start_counting(void) {
  signal(SIGRTMIN + 5, print_count);
}
