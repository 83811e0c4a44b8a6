/* A client of musl's: fetch NAME PORT gets / over HTTP/1.0 from what NAME resolves to. Built by images.sh. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
    char buffer[4096];
    if (count != 3) {
        fprintf(stderr, "fetch NAME PORT\n");
        return 2;
    }
    int error = getaddrinfo(words[1], words[2], &hints, &found);
    if (error) {
        fprintf(stderr, "fetch: %s: %s\n", words[1], gai_strerror(error));
        return 1;
    }
    int connection = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(connection, found->ai_addr, found->ai_addrlen)) {
        perror("fetch: connect");
        return 1;
    }
    int length = snprintf(buffer, sizeof buffer, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", words[1]);
    if (write(connection, buffer, length) != length) {
        perror("fetch: write");
        return 1;
    }
    ssize_t got;
    while ((got = read(connection, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, got, stdout);
    return 0;
}
