// What Swift's Glibc lacks: epoll(7), eventfd(2), accept4(2). Every function returns -errno on failure.
#ifndef CSOCKETS_H
#define CSOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// An address to connect to.
typedef struct {
    uint8_t bytes[128]; // a struct sockaddr_storage
    uint32_t length;
} csockets_address;

// One ready descriptor, as returned by csockets_wait.
typedef struct {
    uint64_t token;
    bool readable; // or ended, or failed: reading tells which
    bool writable;
    bool ended; // both directions: ours was shut down, and the peer has closed
} csockets_event;

// A peer's address; IPv4 is mapped into IPv6 (::ffff:a.b.c.d). All zeros: a Unix socket.
typedef struct {
    uint8_t address[16];
    uint16_t port;
} csockets_peer;

int csockets_epoll(void);
// Level-triggered. writes: also report when the descriptor is writable.
int csockets_watch(int epoll, int fd, uint64_t token, bool writes);
int csockets_rewatch(int epoll, int fd, uint64_t token, bool writes);
int csockets_unwatch(int epoll, int fd);
// timeout in milliseconds; -1: forever. An interrupted wait returns 0.
int csockets_wait(int epoll, csockets_event *events, int capacity, int timeout);

// A bell that wakes an epoll set: edge-triggered, so that it need not be read.
int csockets_bell(int epoll, uint64_t token);
void csockets_ring(int bell);

// Accepts a connection: non-blocking, close-on-exec. -EAGAIN: none is waiting.
int csockets_accept(int listener, csockets_peer *peer);
// Listens on the host's first address. Port 0: any; csockets_port returns which.
int csockets_listen(const char *host, uint16_t port, int backlog);
int csockets_port(int listener);

// Resolves a host: returns the number of addresses, 0 when it has none. Blocks.
int csockets_resolve(const char *host, uint16_t port, csockets_address *found, int capacity);
// -ENAMETOOLONG: the path is too long for a socket.
int csockets_path(const char *path, csockets_address *address);
// Starts to connect: the descriptor becomes writable when connected or failed. Sets keepalive, no delay, and
// TCP_USER_TIMEOUT: bytes unacknowledged for 20 s end the connection (the kernel would wait 15 minutes).
int csockets_connect(const csockets_address *address);
// The pending error of the socket: 0, or -errno.
int csockets_failure(int fd);

// Non-blocking; -EAGAIN: nothing possible now. Never raises a signal.
ptrdiff_t csockets_send(int fd, const void *bytes, size_t count);
ptrdiff_t csockets_send_all(int fd, const struct iovec *pieces, int count);
ptrdiff_t csockets_receive(int fd, void *bytes, size_t count);
// Milliseconds since the peer last acknowledged anything; 0 when nothing is unacknowledged. A zero window counts as an
// answer: nothing is in flight then.
long csockets_unanswered(int fd);
void csockets_shut_sending(int fd);
void csockets_close(int fd);
// A descriptor kept in reserve, for when the process runs out of them.
int csockets_spare(void);
// The thread's name in top -H; only 15 bytes of it are used.
void csockets_name_thread(const char *name);
// Returns freed memory to the system (malloc_trim(3)): milliseconds per 100 MiB.
void csockets_trim_memory(void);

#endif
