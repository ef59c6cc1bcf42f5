#define _GNU_SOURCE
#include "CSockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int result(int value) { return value < 0 ? -errno : value; }

int csockets_epoll(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int epoll, int operation, int fd, uint64_t token, bool writes)
{
    struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.u64 = token};
    return result(epoll_ctl(epoll, operation, fd, &event));
}

int csockets_watch(int epoll, int fd, uint64_t token, bool writes)
{
    return control(epoll, EPOLL_CTL_ADD, fd, token, writes);
}

int csockets_rewatch(int epoll, int fd, uint64_t token, bool writes)
{
    return control(epoll, EPOLL_CTL_MOD, fd, token, writes);
}

int csockets_unwatch(int epoll, int fd) { return result(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL)); }

int csockets_wait(int epoll, csockets_event *events, int capacity, int timeout)
{
    struct epoll_event ready[256];
    int count = epoll_wait(epoll, ready, capacity < 256 ? capacity : 256, timeout);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        events[i].token = ready[i].data.u64;
        events[i].readable = ready[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP);
        events[i].writable = ready[i].events & EPOLLOUT;
        events[i].ended = ready[i].events & EPOLLHUP;
    }
    return count;
}

int csockets_bell(int epoll, uint64_t token)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = token};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

void csockets_ring(int bell) { eventfd_write(bell, 1); }

int csockets_accept(int listener, csockets_peer *peer)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int fd = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    memset(peer, 0, sizeof *peer);
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&storage;
        peer->address[10] = peer->address[11] = 0xff;
        memcpy(peer->address + 12, &in->sin_addr, 4);
        peer->port = ntohs(in->sin_port);
    } else if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&storage;
        memcpy(peer->address, &in6->sin6_addr, 16);
        peer->port = ntohs(in6->sin6_port);
    }
    return fd;
}

static int listening(int family, const struct sockaddr *address, socklen_t length, int backlog)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int one = 1, zero = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    // Inherited by accepted sockets.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, address, length) < 0 || listen(fd, backlog) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int csockets_listen(const char *host, uint16_t port, int backlog)
{
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    int fd = listening(found->ai_family, found->ai_addr, found->ai_addrlen, backlog);
    freeaddrinfo(found);
    return fd;
}

int csockets_port(int listener)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getsockname(listener, (struct sockaddr *)&storage, &length) < 0)
        return -errno;
    return storage.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&storage)->sin_port)
                                        : ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
}

int csockets_resolve(const char *host, uint16_t port, csockets_address *found, int capacity)
{
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *all;
    if (getaddrinfo(host, service, &hints, &all) != 0)
        return 0;
    int count = 0;
    for (struct addrinfo *one = all; one && count < capacity; one = one->ai_next) {
        if (one->ai_addrlen > sizeof found[count].bytes)
            continue;
        memcpy(found[count].bytes, one->ai_addr, one->ai_addrlen);
        found[count++].length = one->ai_addrlen;
    }
    freeaddrinfo(all);
    return count;
}

int csockets_path(const char *path, csockets_address *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof un.sun_path)
        return -ENAMETOOLONG;
    strcpy(un.sun_path, path);
    memcpy(address->bytes, &un, sizeof un);
    address->length = sizeof un;
    return 0;
}

int csockets_connect(const csockets_address *address)
{
    struct sockaddr_storage storage;
    memcpy(&storage, address->bytes, sizeof storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (storage.ss_family != AF_UNIX) {
        int one = 1;
        unsigned patience = 20000;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    }
    if (connect(fd, (const struct sockaddr *)&storage, address->length) < 0 && errno != EINPROGRESS) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int csockets_failure(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? -errno : -error;
}

ptrdiff_t csockets_send(int fd, const void *bytes, size_t count)
{
    ptrdiff_t sent = send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

ptrdiff_t csockets_send_all(int fd, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ptrdiff_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

ptrdiff_t csockets_receive(int fd, void *bytes, size_t count)
{
    ptrdiff_t received = recv(fd, bytes, count, MSG_DONTWAIT);
    return received < 0 ? -errno : received;
}

long csockets_unanswered(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 || info.tcpi_unacked == 0)
        return 0;
    return info.tcpi_last_ack_recv;
}

void csockets_shut_sending(int fd) { shutdown(fd, SHUT_WR); }

void csockets_close(int fd) { close(fd); }

int csockets_spare(void) { return result(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

void csockets_trim_memory(void) { malloc_trim(0); }

void csockets_name_thread(const char *name)
{
    char most[16];
    snprintf(most, sizeof most, "%s", name);
    pthread_setname_np(pthread_self(), most);
}
