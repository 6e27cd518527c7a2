/* Files: limits of reading, atomic writing (also when the disk is full), folders, names, locks. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_content(const char *path, const char *text)
{
    unsigned char *data;
    size_t size;
    assert_ok(file_read(path, 1 << 20, &data, &size));
    assert_int_equal(size, strlen(text));
    assert_string_equal((char *)data, text); /* there is a 0 behind it */
    free(data);
}

static void assert_names(struct fixture *fixture, const char *path, const char *expected)
{
    char **names, *joined = arena_text(&fixture->arena, "");
    int count;
    assert_ok(file_list(&fixture->arena, path, &names, &count));
    for (int i = 0; i < count; i++) joined = arena_printf(&fixture->arena, "%s%s%s", joined, i ? " " : "", names[i]);
    assert_string_equal(joined, expected);
}

static void reading_has_limits(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "a");
    unsigned char *data;
    size_t size;
    assert_ok(file_write(path, "0123456789", 10));
    assert_ok(file_read(path, 10, &data, &size));
    assert_int_equal(size, 10);
    assert_string_equal((char *)data, "0123456789");
    free(data);
    assert_fails(file_read(path, 9, &data, &size), HFF_E_FORMAT, "/a: ");
    assert_null(data);
    assert_fails(file_read(in_folder(fixture, "none"), 9, &data, &size), HFF_E_IO, "none");
    assert_fails(file_read(fixture->folder, 9, &data, &size), HFF_E_IO, fixture->folder);
    assert_ok(file_write(path, "", 0));
    assert_content(path, "");
}

/* A file whose size the system gives as 0 is read to its end, or to the limit. */
/* The program's read, so that something can happen to a file in the middle of it. */
static const char *cut_short; /* the path of a file that loses its end at the next read */
ssize_t read(int file, void *bytes, size_t size)
{
    const char *path = cut_short;
    cut_short = NULL;
    if (path) assert_int_equal(truncate(path, 4), 0);
    return syscall(SYS_read, file, bytes, size);
}

static void a_file_that_changes_meanwhile_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "a");
    unsigned char *data;
    size_t size;
    assert_ok(file_write(path, "0123456789", 10));
    cut_short = path;
    assert_fails(file_read(path, 100, &data, &size), HFF_E_IO, "changed while it was read");
    assert_null(data);
    assert_content(path, "0123");
}

static void leftovers_of_the_dead_are_removed(void **state)
{
    struct fixture *fixture = *state;
    pid_t gone = fork();
    if (gone == 0) _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    const char *format[] = {"a.tmp.%ld", "a.b.tmp.7.tmp.%ld", ".tmp.%ld", "a.tmp.%ldx", "a.tmp.0%ld", "a.tmp-%ld"};
    for (int i = 0; i < 6; i++) {
        char *name = arena_printf(&fixture->arena, format[i], (long)gone);
        assert_ok(file_write(in_folder(fixture, name), "", 0));
    }
    assert_ok(file_write(in_folder(fixture, arena_printf(&fixture->arena, "own.tmp.%ld", (long)getpid())), "", 0));
    assert_ok(file_write(in_folder(fixture, arena_printf(&fixture->arena, "other.tmp.%ld", (long)getppid())), "", 0));
    assert_ok(file_make_folders(in_folder(fixture, arena_printf(&fixture->arena, "folder.tmp.%ld", (long)gone))));
    assert_ok(file_write(in_folder(fixture, "a.tmp.99999999999999999999"), "", 0));
    assert_ok(file_remove_leftovers(fixture->folder));
    static const char *const stay[] = {".tmp.%ld", "a.tmp.%ldx", "a.tmp.0%ld", "a.tmp-%ld", "folder.tmp.%ld"};
    for (int i = 0; i < 5; i++)
        assert_true(file_exists(in_folder(fixture, arena_printf(&fixture->arena, stay[i], (long)gone))));
    assert_true(file_exists(in_folder(fixture, arena_printf(&fixture->arena, "other.tmp.%ld", (long)getppid()))));
    assert_true(file_exists(in_folder(fixture, "a.tmp.99999999999999999999")));
    char **names;
    int count;
    assert_ok(file_list(&fixture->arena, fixture->folder, &names, &count));
    assert_int_equal(count, 7);
    assert_ok(file_remove_leftovers(in_folder(fixture, "none")));
}

static void files_without_a_size_are_read(void **state)
{
    (void)state;
    unsigned char *data;
    size_t size;
    if (!file_exists("/proc/self/status")) skip();
    assert_ok(file_read("/proc/self/status", 1 << 20, &data, &size));
    assert_true(size > 100 && strlen((char *)data) == size);
    free(data);
    assert_fails(file_read("/proc/self/status", 50, &data, &size), HFF_E_FORMAT, "limit");
    assert_fails(file_read("/dev/zero", 100000, &data, &size), HFF_E_FORMAT, "limit");
}

static void writing_is_seen_only_when_complete(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "model");
    assert_ok(file_write(path, "old", 3));
    struct file_writer writer;
    assert_ok(file_create(&writer, path));
    assert_ok(file_put(&writer, "ne", 2));
    assert_ok(file_put(&writer, NULL, 0));
    assert_content(path, "old");
    assert_ok(file_put(&writer, "w", 1));
    assert_ok(file_commit(&writer));
    assert_content(path, "new");
    assert_names(fixture, fixture->folder, "model");
    assert_ok(file_create(&writer, path));
    assert_ok(file_put(&writer, "third", 5));
    file_abandon(&writer);
    file_abandon(&writer); /* twice does no harm */
    assert_content(path, "new");
    assert_names(fixture, fixture->folder, "model");
    assert_ok(file_create(&writer, path));
    assert_int_equal(file_finish(&writer, HFF_E_NUMBERS), HFF_E_NUMBERS);
    assert_content(path, "new");
    assert_names(fixture, fixture->folder, "model");
}

static void files_that_cannot_be_made(void **state)
{
    struct fixture *fixture = *state;
    struct file_writer writer;
    assert_fails(file_write(in_folder(fixture, "no/such/a"), "x", 1), HFF_E_IO, "no/such/a: ");
    char *name = arena_printf(&fixture->arena, "%s/%05000d", fixture->folder, 1);
    assert_fails(file_create(&writer, name), HFF_E_IO, "cannot be created");
    file_abandon(&writer);
    assert_ok(file_make_folders(in_folder(fixture, "taken")));
    assert_ok(file_write(in_folder(fixture, "taken/a"), "x", 1));
    assert_fails(file_write(in_folder(fixture, "taken"), "x", 1), HFF_E_IO, "taken"); /* the rename fails */
    assert_names(fixture, fixture->folder, "taken");
}

/* A limit on file sizes stands for a full disk: writes beyond it fail. A long text fails in file_put, a short one stays
 * in the buffer and fails in file_commit. */
static void a_full_disk_is_reported_and_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    const char *fresh = in_folder(fixture, "fresh"), *old = in_folder(fixture, "old");
    assert_ok(file_write(old, "old", 3));
    size_t sizes[] = {200, 1 << 20};
    char *bytes = calloc(1, sizes[1]);
    struct rlimit saved, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    tight = saved;
    tight.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    hff_status found[4];
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    for (int i = 0; i < 2; i++) {
        found[2 * i] = file_write(fresh, bytes, sizes[i]);
        found[2 * i + 1] = file_write(old, bytes, sizes[i]);
    }
    struct file_writer writer; /* a caller who does not look at file_put must not get a short file either */
    hff_status created = file_create(&writer, old);
    hff_status put = file_put(&writer, bytes, sizes[1]), committed = file_commit(&writer);
    setrlimit(RLIMIT_FSIZE, &saved);
    signal(SIGXFSZ, SIG_DFL);
    free(bytes);
    for (int i = 0; i < 4; i++) assert_int_equal(found[i], HFF_E_IO);
    assert_non_null(strstr(hff_error_message(), "old: cannot be written"));
    assert_int_equal(created, HFF_OK);
    assert_int_equal(put, HFF_E_IO);
    assert_int_equal(committed, HFF_E_IO);
    assert_content(old, "old");
    assert_names(fixture, fixture->folder, "old");
}

static void folders_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    const char *deep = in_folder(fixture, "a/b//c/");
    assert_ok(file_make_folders(deep));
    assert_ok(file_make_folders(deep));
    assert_true(file_is_folder(deep));
    assert_ok(file_write(in_folder(fixture, "a/b/c/file"), "x", 1));
    assert_ok(file_write(in_folder(fixture, "outside"), "x", 1));
    assert_int_equal(symlink("../outside", in_folder(fixture, "a/link")), 0);
    assert_int_equal(symlink("nowhere", in_folder(fixture, "a/broken")), 0);
    assert_true(file_exists(in_folder(fixture, "a/b/c/file")));
    assert_false(file_is_folder(in_folder(fixture, "a/b/c/file")));
    assert_false(file_exists(in_folder(fixture, "a/b/c/none")));
    assert_fails(file_make_folders(in_folder(fixture, "outside/d")), HFF_E_IO, "/outside: ");
    assert_fails(file_make_folders(in_folder(fixture, "outside")), HFF_E_IO, "outside");
    assert_fails(file_make_folders(""), HFF_E_IO, "folder");
    assert_ok(file_remove_tree(in_folder(fixture, "a")));
    assert_ok(file_remove_tree(in_folder(fixture, "a")));
    assert_names(fixture, fixture->folder, "outside"); /* links were removed, not followed */
}

static void lists_are_sorted_by_bytes(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"b", "a10", "a2", "Z", "\xc3\xa9", ".hidden"};
    assert_names(fixture, fixture->folder, "");
    for (int i = 0; i < 6; i++) assert_ok(file_write(in_folder(fixture, names[i]), "", 0));
    assert_names(fixture, fixture->folder, ".hidden Z a10 a2 b \xc3\xa9");
    for (int i = 0; i < 100; i++)
        assert_ok(file_make_folders(in_folder(fixture, arena_printf(&fixture->arena, "many/%03d", 99 - i))));
    char **list;
    int count;
    assert_ok(file_list(&fixture->arena, in_folder(fixture, "many"), &list, &count));
    assert_int_equal(count, 100);
    for (int i = 0; i < 100; i++) assert_int_equal(atoi(list[i]), i);
    assert_fails(file_list(&fixture->arena, in_folder(fixture, "none"), &list, &count), HFF_E_IO, "none");
    assert_fails(file_list(&fixture->arena, in_folder(fixture, "b"), &list, &count), HFF_E_IO, "/b: ");
}

static void renaming_moves(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(file_make_folders(in_folder(fixture, "tmp/step")));
    assert_ok(file_make_folders(in_folder(fixture, "final")));
    assert_ok(file_write(in_folder(fixture, "tmp/step/a"), "x", 1));
    assert_ok(file_rename(in_folder(fixture, "tmp/step"), in_folder(fixture, "final/step")));
    assert_content(in_folder(fixture, "final/step/a"), "x");
    assert_names(fixture, in_folder(fixture, "tmp"), "");
    assert_fails(file_rename(in_folder(fixture, "none"), in_folder(fixture, "final/b")), HFF_E_IO, "none");
    assert_ok(file_sync_folder(fixture->folder));
    assert_fails(file_sync_folder(in_folder(fixture, "none")), HFF_E_IO, "none");
    assert_fails(file_sync_folder(in_folder(fixture, "final/step/a")), HFF_E_IO, "step/a");
}

static void names_are_joined(void **state)
{
    struct fixture *fixture = *state;
    assert_string_equal(file_join(&fixture->arena, "a", "b"), "a/b");
    assert_string_equal(file_join(&fixture->arena, "a/", "b/c"), "a/b/c");
    assert_string_equal(file_join(&fixture->arena, "/", "b"), "/b");
    assert_string_equal(file_join(&fixture->arena, "", "b"), "b");
    assert_string_equal(file_join(&fixture->arena, "a", "/b"), "/b");
}

static void names_are_expanded(void **state)
{
    struct fixture *fixture = *state;
    static const char *const rows[][2] = {
        {"plain/$name/{x}", "plain/$name/{x}"},
        {"~", "/home/me"},
        {"~/data", "/home/me/data"},
        {"~other/data", "~other/data"},
        {"a/~/b", "a/~/b"},
        {"${ONE}/x/${TWO}", "first/x/${ONE}"}, /* values are not expanded again */
        {"${ONE}${ONE}", "firstfirst"},
        {"x${EMPTY}y", "xy"},
        {"${HFF_DATA}/mnist", "/sets/mnist"},
        {"", ""},
    };
    setenv("HOME", "/home/me", 1);
    setenv("ONE", "first", 1);
    setenv("TWO", "${ONE}", 1);
    setenv("EMPTY", "", 1);
    setenv("HFF_DATA", "/sets", 1);
    unsetenv("NOT_SET");
    char *out;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(file_expand(&fixture->arena, rows[i][0], &out));
        assert_string_equal(out, rows[i][1]);
    }
    assert_fails(file_expand(&fixture->arena, "a/${NOT_SET}", &out), HFF_E_CONFIG, "variable NOT_SET is not set");
    assert_fails(file_expand(&fixture->arena, "a/${ONE", &out), HFF_E_CONFIG, "a/${ONE");
}

static void the_data_root_has_a_default(void **state)
{
    struct fixture *fixture = *state;
    char *out;
    unsetenv("HFF_DATA");
    setenv("HOME", "/home/me", 1);
    setenv("XDG_DATA_HOME", "/home/me/xdg", 1);
    assert_ok(file_expand(&fixture->arena, "${HFF_DATA}/mnist", &out));
    assert_string_equal(out, "/home/me/xdg/hff/mnist");
    setenv("XDG_DATA_HOME", "", 1);
    assert_ok(file_expand(&fixture->arena, "${HFF_DATA}", &out));
    assert_string_equal(out, "/home/me/.local/share/hff");
    unsetenv("XDG_DATA_HOME");
    setenv("HFF_DATA", "", 1);
    assert_ok(file_expand(&fixture->arena, "${HFF_DATA}", &out));
    assert_string_equal(out, "/home/me/.local/share/hff");
    unsetenv("HOME");
    assert_fails(file_expand(&fixture->arena, "${HFF_DATA}", &out), HFF_E_CONFIG, "HOME");
    assert_fails(file_expand(&fixture->arena, "~/x", &out), HFF_E_CONFIG, "HOME");
}

static void a_lock_is_exclusive(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "lock");
    int first, second;
    assert_ok(file_lock(path, &first));
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
    char text[64];
    snprintf(text, sizeof text, "held by process %ld;", (long)getpid());
    assert_fails(file_lock(path, &second), HFF_E_USAGE, text);
    assert_int_equal(second, -1);
    file_unlock(second);
    file_unlock(first);
    assert_ok(file_lock(path, &second));
    file_unlock(second);
    assert_fails(file_lock(in_folder(fixture, "no/lock"), &first), HFF_E_IO, "no/lock");
}

/* Another process holds the lock, and loses it when it is killed. */
static void a_lock_ends_with_its_process(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "lock");
    int ready[2], lock;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char answer = file_lock(path, &lock) == HFF_OK ? 'y' : 'n';
        if (write(ready[1], &answer, 1) == 1) pause();
        _exit(0);
    }
    char answer = 0;
    ssize_t got = read(ready[0], &answer, 1);
    hff_status held = file_lock(path, &lock);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    char text[64];
    snprintf(text, sizeof text, "held by process %ld;", (long)child);
    assert_true(got == 1 && answer == 'y');
    assert_int_equal(held, HFF_E_USAGE);
    assert_non_null(strstr(hff_error_message(), text));
    assert_ok(file_lock(path, &lock));
    file_unlock(lock);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(reading_has_limits),
        WITH_FOLDER(a_file_that_changes_meanwhile_is_refused),
        WITH_FOLDER(leftovers_of_the_dead_are_removed),
        cmocka_unit_test(files_without_a_size_are_read),
        WITH_FOLDER(writing_is_seen_only_when_complete),
        WITH_FOLDER(files_that_cannot_be_made),
        WITH_FOLDER(a_full_disk_is_reported_and_leaves_nothing),
        WITH_FOLDER(folders_come_and_go),
        WITH_FOLDER(lists_are_sorted_by_bytes),
        WITH_FOLDER(renaming_moves),
        WITH_FOLDER(names_are_joined),
        WITH_FOLDER(names_are_expanded),
        WITH_FOLDER(the_data_root_has_a_default),
        WITH_FOLDER(a_lock_is_exclusive),
        WITH_FOLDER(a_lock_ends_with_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
