// What Swift's Glibc does not have: epoll(7), eventfd(2), accept4(2). Every function answers -errno when it fails.
#ifndef CSOCKETS_H
#define CSOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// An address that can be connected to.
typedef struct {
    uint8_t bytes[128]; // a struct sockaddr_storage
    uint32_t length;
} csockets_address;

// One ready descriptor, as csockets_wait gives it.
typedef struct {
    uint64_t token;
    bool readable; // or ended, or failed: reading tells
    bool writable;
    bool ended; // both directions: ours was shut, and the peer's end has come
} csockets_event;

// The other end of a connection; an IPv4 address is mapped into IPv6 (::ffff:a.b.c.d). All zeros: a Unix socket.
typedef struct {
    uint8_t address[16];
    uint16_t port;
} csockets_peer;

int csockets_epoll(void);
// Level-triggered. writes: tell when there is room, too.
int csockets_watch(int epoll, int fd, uint64_t token, bool writes);
int csockets_rewatch(int epoll, int fd, uint64_t token, bool writes);
int csockets_unwatch(int epoll, int fd);
// timeout in milliseconds; -1: for ever. An interrupted wait answers 0.
int csockets_wait(int epoll, csockets_event *events, int capacity, int timeout);

// A bell that wakes an epoll set: edge-triggered, so that nobody has to read it.
int csockets_bell(int epoll, uint64_t token);
void csockets_ring(int bell);

// A socket without waiting, closed on exec. -EAGAIN: nobody is there.
int csockets_accept(int listener, csockets_peer *peer);
// Listens on the first address that host has. A port of 0: any; csockets_port tells which.
int csockets_listen(const char *host, uint16_t port, int backlog);
int csockets_port(int listener);

// All addresses of a host: how many, 0 when it has none. It waits for the resolver.
int csockets_resolve(const char *host, uint16_t port, csockets_address *found, int capacity);
// -ENAMETOOLONG: no socket can have that path.
int csockets_path(const char *path, csockets_address *address);
// Begins to connect: the descriptor is writable when it stands or has failed. keepalive, no delay, and bytes that nobody
// acknowledges for 20 s end it (TCP_USER_TIMEOUT; the kernel would wait 15 minutes).
int csockets_connect(const csockets_address *address);
// 0, or -errno of what went wrong on the socket.
int csockets_failure(int fd);

// What the kernel takes now; -EAGAIN: nothing. Never a signal.
ptrdiff_t csockets_send(int fd, const void *bytes, size_t count);
ptrdiff_t csockets_send_all(int fd, const struct iovec *pieces, int count);
ptrdiff_t csockets_receive(int fd, void *bytes, size_t count);
// Milliseconds since the peer last acknowledged anything; 0 when nothing is on its way to it. A window of zero is an
// answer: then nothing is on its way.
long csockets_unanswered(int fd);
void csockets_shut_sending(int fd);
void csockets_close(int fd);
// A descriptor kept back for the day on which there are no more.
int csockets_spare(void);
// What top -H shows for this thread; 15 bytes of it.
void csockets_name_thread(const char *name);
// Gives memory that was freed back to the system (malloc_trim(3)): milliseconds for 100 MiB.
void csockets_trim_memory(void);

#endif
