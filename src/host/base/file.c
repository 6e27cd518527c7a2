/* Files and folders. What is written appears under its final name only when it is complete and on the disk: temporary
 * file, fsync, rename, fsync of the folder. */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

/* Reads to the end whatever fstat said, since files under /proc say 0 and files may grow. */
static hff_status read_all(int fd, const char *path, size_t limit, size_t guess, unsigned char **data, size_t *size)
{
    size_t room = guess + 1, used = 0;
    unsigned char *bytes = malloc(room + 1);
    if (!bytes) return fail(HFF_E_MEMORY, "%s: no memory for its %zu bytes", path, guess);
    for (;;) {
        ssize_t got = read(fd, bytes + used, room - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            int error = errno;
            free(bytes);
            return fail_errno(HFF_E_IO, error, "%s: cannot be read at byte %zu", path, used);
        }
        if (got == 0) break;
        used += (size_t)got;
        if (used > limit) {
            free(bytes);
            return fail(HFF_E_FORMAT, "%s: longer than %zu bytes, the limit for such a file", path, limit);
        }
        if (used < room) continue;
        unsigned char *larger = realloc(bytes, 2 * room + 1);
        if (!larger) {
            free(bytes);
            return fail(HFF_E_MEMORY, "%s: no memory for %zu bytes", path, 2 * room);
        }
        bytes = larger;
        room *= 2;
    }
    bytes[used] = 0;
    *data = bytes;
    *size = used;
    return HFF_OK;
}

/* Whether a regular file with a size (those of /proc have none) still has the size and time of before. */
static int unchanged(int fd, const struct stat *before)
{
    struct stat now;
    if (!S_ISREG(before->st_mode) || before->st_size == 0) return 1;
    return fstat(fd, &now) == 0 && now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

hff_status file_read(const char *path, size_t limit, unsigned char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(HFF_E_IO, errno, "%s: cannot be opened", path);
    struct stat about;
    hff_status status;
    if (fstat(fd, &about) != 0)
        status = fail_errno(HFF_E_IO, errno, "%s: cannot be examined", path);
    else if (S_ISDIR(about.st_mode))
        status = fail(HFF_E_IO, "%s: is a folder, where a file is needed", path);
    else if (about.st_size > 0 && (uint64_t)about.st_size > limit)
        status = fail(HFF_E_FORMAT, "%s: %lld bytes, but the limit for such a file is %zu", path,
                      (long long)about.st_size, limit);
    else
        status = read_all(fd, path, limit, about.st_size > 0 ? (size_t)about.st_size : 4095, data, size);
    if (status == HFF_OK && !unchanged(fd, &about)) {
        free(*data);
        *data = NULL;
        *size = 0;
        status = fail(HFF_E_IO, "%s: changed while it was read; try again when nothing writes to it", path);
    }
    close(fd);
    return status;
}

/* ---- writing ---- */

hff_status file_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(HFF_E_IO, errno, "%s: cannot be opened as a folder", path);
    /* Some network file systems have no fsync for folders and say EINVAL; there is nothing more to do on those. */
    int error = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    close(fd);
    return error ? fail_errno(HFF_E_IO, error, "%s: cannot be synced to the disk", path) : HFF_OK;
}

/* Syncs the folder that holds path. */
static hff_status sync_parent(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    if (length == 0) return file_sync_folder(".");
    char *parent = strndup(path, length);
    if (!parent) return fail(HFF_E_MEMORY, "%s: no memory for its folder's name", path);
    hff_status status = file_sync_folder(parent);
    free(parent);
    return status;
}

hff_status file_create(struct file_writer *writer, const char *path)
{
    writer->stream = NULL;
    int length = snprintf(writer->path, sizeof writer->path, "%s", path);
    int longer = snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp.%ld", path, (long)getpid());
    if (length < 0 || longer < 0 || (size_t)longer >= sizeof writer->temporary) {
        writer->temporary[0] = 0;
        return fail_errno(HFF_E_IO, ENAMETOOLONG, "%.200s...: cannot be created", path);
    }
    writer->stream = fopen(writer->temporary, "wbe");
    if (writer->stream) return HFF_OK;
    int error = errno;
    writer->temporary[0] = 0;
    return fail_errno(HFF_E_IO, error, "%s: cannot be created", path);
}

hff_status file_put(struct file_writer *writer, const void *data, size_t size)
{
    if (size == 0 || fwrite(data, 1, size, writer->stream) == size) return HFF_OK;
    return fail_errno(HFF_E_IO, errno, "%s: cannot be written", writer->path);
}

hff_status file_commit(struct file_writer *writer)
{
    int error = ferror(writer->stream) ? EIO : 0; /* an earlier file_put failed, and its caller did not look */
    if (!error && (fflush(writer->stream) != 0 || fsync(fileno(writer->stream)) != 0)) error = errno;
    if (fclose(writer->stream) != 0 && !error) error = errno;
    writer->stream = NULL;
    if (!error && rename(writer->temporary, writer->path) != 0) error = errno;
    if (error) {
        file_abandon(writer);
        return fail_errno(HFF_E_IO, error, "%s: cannot be written", writer->path);
    }
    writer->temporary[0] = 0;
    return sync_parent(writer->path);
}

void file_abandon(struct file_writer *writer)
{
    if (writer->stream) fclose(writer->stream);
    if (writer->temporary[0]) unlink(writer->temporary);
    writer->stream = NULL;
    writer->temporary[0] = 0;
}

hff_status file_finish(struct file_writer *writer, hff_status status)
{
    if (status == HFF_OK) return file_commit(writer);
    file_abandon(writer);
    return status;
}

hff_status file_write(const char *path, const void *data, size_t size)
{
    struct file_writer writer;
    TRY(file_create(&writer, path));
    return file_finish(&writer, file_put(&writer, data, size));
}

/* ---- folders ---- */

int file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

int file_is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static hff_status make_folder(const char *path)
{
    if (file_is_folder(path)) return HFF_OK;
    if (mkdir(path, 0777) == 0) return sync_parent(path);
    int error = errno;
    if (error == EEXIST && file_is_folder(path)) return HFF_OK; /* another process was quicker */
    return fail_errno(HFF_E_IO, error, "%s: cannot be created as a folder", path);
}

hff_status file_make_folders(const char *path)
{
    char *part = strdup(path);
    if (!part) return fail(HFF_E_MEMORY, "%s: no memory for its name", path);
    hff_status status = HFF_OK;
    for (char *at = part + 1; status == HFF_OK && part[0] && *at; at++) {
        if (*at != '/' || at[-1] == '/') continue;
        *at = 0;
        status = make_folder(part);
        *at = '/';
    }
    if (status == HFF_OK) status = make_folder(part);
    free(part);
    return status;
}

hff_status file_remove_tree(const char *path)
{
    struct stat about;
    if (lstat(path, &about) != 0)
        return errno == ENOENT ? HFF_OK : fail_errno(HFF_E_IO, errno, "%s: cannot be examined", path);
    if (S_ISDIR(about.st_mode)) {
        struct arena arena = {0};
        char **names;
        int count;
        hff_status status = file_list(&arena, path, &names, &count);
        for (int i = 0; status == HFF_OK && i < count; i++)
            status = file_remove_tree(file_join(&arena, path, names[i]));
        arena_free(&arena);
        TRY(status);
    }
    if (remove(path) == 0 || errno == ENOENT) return HFF_OK;
    return fail_errno(HFF_E_IO, errno, "%s: cannot be removed", path);
}

hff_status file_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0) return fail_errno(HFF_E_IO, errno, "%s: cannot be renamed to %s", from, to);
    TRY(sync_parent(to));
    return sync_parent(from);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

hff_status file_list(struct arena *arena, const char *path, char ***names, int *count)
{
    *names = NULL;
    *count = 0;
    DIR *folder = opendir(path);
    if (!folder) return fail_errno(HFF_E_IO, errno, "%s: cannot be opened as a folder", path);
    char **list = ARENA_NEW(arena, char *, 16);
    int used = 0, room = 16;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (used == room) {
            char **larger = ARENA_NEW(arena, char *, 2 * room);
            memcpy(larger, list, sizeof *list * (size_t)used);
            list = larger;
            room *= 2;
        }
        list[used++] = arena_text(arena, entry->d_name);
    }
    int error = errno;
    closedir(folder);
    if (error) return fail_errno(HFF_E_IO, error, "%s: cannot be listed", path);
    qsort(list, (size_t)used, sizeof *list, by_bytes);
    *names = list;
    *count = used;
    return HFF_OK;
}

/* Whether name is a temporary file whose writer is gone. This process, which asks before it writes, is not the writer:
 * in a container every run may have the same number. */
static int is_leftover(const char *name)
{
    const char *mark = NULL;
    for (const char *at = name; (at = strstr(at, ".tmp.")) != NULL; at++) mark = at;
    if (!mark || mark == name || mark[5] < '1' || mark[5] > '9') return 0;
    char *end;
    errno = 0;
    long pid = strtol(mark + 5, &end, 10);
    if (*end || errno || pid != (pid_t)pid) return 0;
    return pid == (long)getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

hff_status file_remove_leftovers(const char *folder)
{
    struct arena arena = {0};
    char **names;
    int count = 0;
    if (!file_is_folder(folder)) return HFF_OK;
    hff_status status = file_list(&arena, folder, &names, &count);
    for (int i = 0; i < count && status == HFF_OK; i++) {
        char *path = file_join(&arena, folder, names[i]);
        if (is_leftover(names[i]) && !file_is_folder(path)) status = file_remove_tree(path);
    }
    arena_free(&arena);
    return status;
}

/* ---- names ---- */

char *file_join(struct arena *arena, const char *a, const char *b)
{
    size_t length = strlen(a);
    if (length == 0 || b[0] == '/') return arena_text(arena, b);
    return arena_printf(arena, "%s%s%s", a, a[length - 1] == '/' ? "" : "/", b);
}

static hff_status home_folder(const char *text, const char **out)
{
    *out = getenv("HOME");
    if (*out && **out) return HFF_OK;
    return fail(HFF_E_CONFIG, "%s: the environment variable HOME is not set; write the path in full", text);
}

static hff_status variable(struct arena *arena, const char *text, const char *name, const char **out)
{
    const char *value = getenv(name), *data_home = getenv("XDG_DATA_HOME"), *home;
    *out = value;
    if (strcmp(name, "HFF_DATA") != 0)
        return value ? HFF_OK : fail(HFF_E_CONFIG, "%s: the environment variable %s is not set", text, name);
    if (value && *value) return HFF_OK;
    /* The XDG base directory specification says to ignore a value that is empty or relative. */
    if (data_home && data_home[0] == '/') {
        *out = file_join(arena, data_home, "hff");
        return HFF_OK;
    }
    TRY(home_folder(text, &home));
    *out = file_join(arena, home, ".local/share/hff");
    return HFF_OK;
}

hff_status file_expand(struct arena *arena, const char *text, char **out)
{
    const char *rest = text, *home = "";
    if (text[0] == '~' && (text[1] == '/' || text[1] == 0)) {
        TRY(home_folder(text, &home));
        rest++;
    }
    char *done = arena_text(arena, home);
    for (const char *start; (start = strstr(rest, "${")) != NULL;) {
        const char *end = strchr(start, '}'), *value;
        if (!end) return fail(HFF_E_CONFIG, "%s: \"${\" without a \"}\"", text);
        TRY(variable(arena, text, arena_printf(arena, "%.*s", (int)(end - start - 2), start + 2), &value));
        done = arena_printf(arena, "%s%.*s%s", done, (int)(start - rest), rest, value);
        rest = end + 1;
    }
    *out = arena_printf(arena, "%s%s", done, rest);
    return HFF_OK;
}

/* ---- locks ---- */

/* The lock is flock's, which the system releases when the process ends in whatever way; the number is for people. */
hff_status file_lock(const char *path, int *lock)
{
    *lock = -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return fail_errno(HFF_E_IO, errno, "%s: cannot be opened", path);
    char text[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        ssize_t got = pread(fd, text, sizeof text - 1, 0);
        close(fd);
        if (error != EWOULDBLOCK) return fail_errno(HFF_E_IO, error, "%s: cannot be locked", path);
        long holder = got > 0 ? strtol(text, NULL, 10) : 0;
        if (holder <= 0) return fail(HFF_E_USAGE, "%s: held by another process; wait for it to end", path);
        return fail(HFF_E_USAGE, "%s: held by process %ld; wait for it to end", path, holder);
    }
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
        int error = errno;
        close(fd);
        return fail_errno(HFF_E_IO, error, "%s: cannot be written", path);
    }
    *lock = fd;
    return HFF_OK;
}

void file_unlock(int lock)
{
    if (lock >= 0) close(lock);
}
