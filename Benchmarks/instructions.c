/* Counts the instructions and system calls of a server's event loops. A plugin of QEMU's user mode:

     qemu-x86_64 -plugin instructions.so,counts=FILE server …

   A turn of a loop is from epoll_wait's return with events to its next call. Only turns are counted, and only while FILE says
   so. What the kernel does is not counted, nor is the clock, which needs no system call without QEMU. A thread is a loop's
   when it has received from a socket: libdispatch waits by epoll_wait too, for its timers.

   While turns are counted the loops' monotonic clock stands: a slow machine would have more timers fall due between two
   messages, and what they do, and what answers them, would be in the figures. Afterwards it goes on from where it stood.

   FILE is shared memory of 64-bit numbers, see struct counts: who measures writes `armed` and reads the rest. Where FILE is
   longer, the rest is a table, by an address's hash, of the blocks of instructions that were executed: a profile. A function
   begins a block, so it also says how often malloc was called.

   Source: QEMU, "QEMU TCG Plugins". Its header is not packaged; what is used of it is declared here. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
    uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_vcpu_syscall_ret_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, int64_t));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

enum { MAX_THREADS = 1024, MAX_PROBES = 64, NO_REGISTERS = 0 };

struct block { uint64_t address, instructions, executed; };

struct counts {
    uint64_t armed, turns, instructions, system_calls;
    uint64_t unfinished; /* turns that have begun and not ended */
    struct block profile[];
};

static struct counts *counts;
static uint64_t profile_slots;
static struct thread {
    bool is_loop, in_turn;
    struct timespec *clock_answer; /* where its question for the time is answered */
} threads[MAX_THREADS];

/* One thread counts at a time: who measures more than one loop has figures that are a little low. */
static void on_block(unsigned thread, void *argument)
{
    struct block *block = argument;
    if (!threads[thread % MAX_THREADS].in_turn) return;
    counts->instructions += block->instructions;
    block->executed++;
}

/* The monotonic clock, as it is for the loops. It stands where it was last seen: what was not due then never is. */
static void let_stand(struct timespec *time)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    static int64_t behind, seen;
    static bool stands;
    pthread_mutex_lock(&one_at_a_time);
    if (__atomic_load_n(&counts->armed, __ATOMIC_ACQUIRE) && seen) {
        stands = true;
    } else {
        int64_t now = time->tv_sec * 1000000000 + time->tv_nsec;
        if (stands) behind = now - seen;
        stands = false;
        if (now - behind > seen) seen = now - behind;
    }
    *time = (struct timespec){seen / 1000000000, seen % 1000000000};
    pthread_mutex_unlock(&one_at_a_time);
}

static bool waits(int64_t number) { return number == SYS_epoll_pwait || number == SYS_epoll_wait; }

static void on_system_call(plugin_id id, unsigned index, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
    uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    struct thread *thread = &threads[index % MAX_THREADS];
    if (number == SYS_recvfrom) thread->is_loop = true;
    if (thread->in_turn && number != SYS_clock_gettime) counts->system_calls++;
    if (thread->in_turn && waits(number)) {
        thread->in_turn = false;
        __atomic_sub_fetch(&counts->unfinished, 1, __ATOMIC_RELEASE);
    }
    /* In user mode the server's memory is at the addresses that it knows. */
    bool asks = thread->is_loop && number == SYS_clock_gettime && a == CLOCK_MONOTONIC;
    thread->clock_answer = asks ? (struct timespec *)(uintptr_t)b : NULL;
}

static void on_system_call_return(plugin_id id, unsigned index, int64_t number, int64_t result)
{
    (void)id;
    struct thread *thread = &threads[index % MAX_THREADS];
    if (thread->clock_answer && result == 0) let_stand(thread->clock_answer);
    if (!thread->is_loop || !waits(number) || result <= 0) return;
    if (!__atomic_load_n(&counts->armed, __ATOMIC_ACQUIRE)) return;
    __atomic_add_fetch(&counts->unfinished, 1, __ATOMIC_ACQUIRE);
    thread->in_turn = true;
    counts->turns++;
}

static struct block *block_at(uint64_t address, uint64_t instructions)
{
    static struct block beyond[1 << 12];
    uint64_t first = (address * 0x9E3779B97F4A7C15u) >> 20;
    for (uint64_t i = first; profile_slots && i < first + MAX_PROBES; i++) {
        struct block *block = &counts->profile[i % profile_slots];
        if (block->instructions && (block->address != address || block->instructions != instructions)) continue;
        block->address = address;
        block->instructions = instructions;
        return block;
    }
    /* Without a place in the profile a block is only its length. */
    struct block *block = &beyond[instructions % (1 << 12)];
    block->instructions = instructions;
    return block;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    struct block *block = block_at(qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb));
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, block);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    const char *path = argc == 1 && strncmp(argv[0], "counts=", 7) == 0 ? argv[0] + 7 : NULL;
    struct stat status;
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0 || fstat(file, &status) < 0 || status.st_size < (off_t)sizeof *counts) {
        fprintf(stderr, "instructions: counts=FILE must name a file of %zu bytes or more\n", sizeof *counts);
        return 1;
    }
    counts = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counts == MAP_FAILED) return perror("instructions"), 1;
    profile_slots = (status.st_size - sizeof *counts) / sizeof counts->profile[0];
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    qemu_plugin_register_vcpu_syscall_ret_cb(id, on_system_call_return);
    return 0;
}
