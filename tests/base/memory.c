/* How much memory is left, from made-up files of /proc and /sys; and what this process tells of itself. */
#include "base/memory.h"

#include "base/file.h"
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

static void put(struct fixture *fixture, const char *name, const char *text)
{
    struct arena arena = {0};
    char *path = file_join(&arena, fixture->folder, name), *slash;
    char *folder = arena_text(&arena, path);
    slash = strrchr(folder, '/');
    *slash = 0;
    assert_int_equal(file_make_folders(folder), HFF_OK);
    assert_int_equal(file_write(path, text, strlen(text)), HFF_OK);
    arena_free(&arena);
}

static void expect_room(struct fixture *fixture, uint64_t bytes, const char *by)
{
    struct memory_room room;
    memory_room(&room, fixture->folder);
    assert_int_equal(room.bytes, bytes);
    if (!strstr(room.by, by)) fail_msg("\"%s\" is not in \"%s\"", by, room.by);
}

static void machine(struct fixture *fixture)
{
    put(fixture, "proc/meminfo",
        "MemTotal:       4000000 kB\nMemFree:          100000 kB\nMemAvailable:    2000000 kB\nSwapFree:          "
        "500000 "
        "kB\n");
}

static void nothing_says_so(void **state)
{
    expect_room(*state, UINT64_MAX, "");
}

static void the_machine(void **state)
{
    machine(*state);
    expect_room(*state, 2500000ull * 1024, "machine");
    put(*state, "proc/self/cgroup", "0::/user.slice/a\n"); /* its files are not there: no limit */
    expect_room(*state, 2500000ull * 1024, "machine");
}

/* Version 2: the tightest of a group and those above it; pages of files that can be dropped are free; "max" is none. */
static void groups_of_version_2(void **state)
{
    struct fixture *fixture = *state;
    machine(fixture);
    put(fixture, "proc/self/cgroup", "0::/user.slice/a\n");
    put(fixture, "sys/fs/cgroup/user.slice/a/memory.max", "max\n");
    put(fixture, "sys/fs/cgroup/user.slice/a/memory.current", "1000000\n");
    expect_room(fixture, 2500000ull * 1024, "machine");
    put(fixture, "sys/fs/cgroup/user.slice/memory.max", "500000000\n");
    put(fixture, "sys/fs/cgroup/user.slice/memory.current", "300000000\n");
    put(fixture, "sys/fs/cgroup/user.slice/memory.swap.max", "0\n");
    expect_room(fixture, 200000000, "user.slice)");
    put(fixture, "sys/fs/cgroup/user.slice/memory.stat", "anon 5\nactive_file 7\ninactive_file 50000000\n");
    expect_room(fixture, 250000000, "user.slice)");
    put(fixture, "sys/fs/cgroup/user.slice/memory.swap.max", "3000000\n");
    put(fixture, "sys/fs/cgroup/user.slice/memory.swap.current", "1000000\n");
    expect_room(fixture, 252000000, "user.slice)");
    put(fixture, "sys/fs/cgroup/memory.max", "100000000\n"); /* inside a container: its own group is the mount */
    put(fixture, "sys/fs/cgroup/memory.current", "150000000\n");
    put(fixture, "sys/fs/cgroup/memory.swap.max", "0\n");
    expect_room(fixture, 0, "control group");
}

static void groups_of_version_1(void **state)
{
    struct fixture *fixture = *state;
    machine(fixture);
    put(fixture, "proc/self/cgroup", "4:cpu,cpuacct:/x\n3:memory:/docker/f00\n0::/\n");
    put(fixture, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put(fixture, "sys/fs/cgroup/memory/memory.usage_in_bytes", "77\n");
    expect_room(fixture, 2500000ull * 1024, "machine");
    put(fixture, "sys/fs/cgroup/memory/docker/f00/memory.limit_in_bytes", "600000000\n");
    put(fixture, "sys/fs/cgroup/memory/docker/f00/memory.usage_in_bytes", "500000000\n");
    put(fixture, "sys/fs/cgroup/memory/docker/f00/memory.stat", "cache 9\ntotal_inactive_file 100000000\n");
    put(fixture, "proc/meminfo", "MemAvailable:    2000000 kB\nSwapFree: 0 kB\n");
    expect_room(fixture, 200000000, "f00");
}

static void refusals_carry_both_figures(void **state)
{
    (void)state;
    assert_int_equal(memory_fits(1, "one byte", ""), HFF_OK);
    assert_int_equal(memory_fits((uint64_t)1 << 60, "such a net", "use a smaller one"), HFF_E_MEMORY);
    assert_non_null(strstr(hff_error_message(), "such a net needs 1099511627776 MiB, but only "));
    assert_non_null(strstr(hff_error_message(), "; use a smaller one"));
}

static void a_peak_is_seen_and_forgotten(void **state)
{
    (void)state;
    enum { SIZE = 64 << 20 };
    memory_give_back();
    memory_reset_peak();
    int64_t before = memory_resident();
    char *block = malloc(SIZE);
    assert_non_null(block);
    for (size_t i = 0; i < SIZE; i += 512) ((volatile char *)block)[i] = 1;
    int64_t with = memory_resident();
    free(block);
    assert_true(with >= before + SIZE - (1 << 20));
    assert_true(memory_peak() >= with - (1 << 20)); /* the kernel counts in batches */
#ifndef HFF_SANITIZE /* which keeps freed blocks for a while */
    assert_true(memory_resident() <= with - SIZE + (1 << 20));
#endif
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(nothing_says_so),
        IN_FOLDER(the_machine),
        IN_FOLDER(groups_of_version_2),
        IN_FOLDER(groups_of_version_1),
        cmocka_unit_test(refusals_carry_both_figures),
        cmocka_unit_test(a_peak_is_seen_and_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
