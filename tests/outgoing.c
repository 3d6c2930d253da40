/* Records every name look-up and every connection of a process, native ones too: preloaded, it stands before libc.
   One line each: "lookup NAME" or "connect ADDRESS", then the process. TRACE_FILE is given when it is compiled. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void record(const char *what, const char *where)
{
    char line[512];
    int length = snprintf(line, sizeof line, "%s %s %d\n", what, where ? where : "-", (int)getpid());
    int file = open(TRACE_FILE, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    if (write(file, line, length < (int)sizeof line ? length : (int)sizeof line - 1) < 0)
        perror(TRACE_FILE);
    close(file);
}

static void record_address(const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (address == NULL)
        return;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof text);
    else
        return; /* a socket in the file system, or the kernel's own */
    record("connect", text);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    record("lookup", name);
    return next(name, service, hints, found);
}

struct hostent *gethostbyname(const char *name)
{
    struct hostent *(*next)(const char *) = dlsym(RTLD_NEXT, "gethostbyname");
    record("lookup", name);
    return next(name);
}

int connect(int socket, const struct sockaddr *address, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    record_address(address);
    return next(socket, address, length);
}

ssize_t sendto(int socket, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
    ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    record_address(address);
    return next(socket, bytes, size, flags, address, length);
}
