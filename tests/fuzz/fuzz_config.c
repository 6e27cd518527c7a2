/* Fuzzes configs: YAML, --set and help keys from strangers. What is accepted must come back from its written form
 * unchanged. Input: the YAML, then after each 0 byte one --set, or with a leading '?' a key for the help.
 *
 * clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
 *     -Iinclude -Isrc/host -Itests tests/fuzz/fuzz_config.c src/host/config/[a-z]*.c \
 *     src/host/base/arena.c src/host/base/status.c src/host/base/nearest.c src/host/base/file.c \
 *     -lyaml -ljansson -o fuzz_config
 * ./fuzz_config -max_len=2048 -dict=tests/fuzz/fuzz_config.dict corpus/ */
#include "config/rows.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds) abort();
}

static char *written(const struct config *config)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    check(stream != NULL);
    check(config_write_yaml(config, stream) == HFF_OK);
    fclose(stream);
    return text;
}

static void round_trip(struct config *config)
{
    struct config *from_yaml, *from_json;
    char *yaml = written(config);
    json_t *json = config_to_json(config);
    char *json_text = json_dumps(json, 0);
    check(json_text != NULL);
    check(config_parse(&from_yaml, all_rows, "yaml", yaml, NULL, 0) == HFF_OK);
    check(config_parse(&from_json, all_rows, "json", json_text, NULL, 0) == HFF_OK);
    json_t *again = config_to_json(from_yaml), *json_again = config_to_json(from_json);
    check(json_equal(json, again) && json_equal(json, json_again));
    json_decref(json_again);
    json_decref(again);
    json_decref(json);
    config_free(from_yaml);
    config_free(from_json);
    free(json_text);
    free(yaml);
}

/* What the rooms do with each stage's overrides. */
static void overlay(struct config *config)
{
    const struct config_node *root = config_root(config), *stages = config_at(root, "net.stages");
    for (int i = 0; i < config_count(stages); i++) {
        const struct config_node *over = config_at(config_item(stages, i), "objective");
        const struct config_node *both = config_overlay(config, config_at(root, "objective"), over);
        check(*config_text(both, "kind") && config_real(both, "scale") >= 1);
        check(!config_has(both, "ff") || config_has(both, "ff.threshold"));
        check(config_real(both, "ff.peer") <= 1);
    }
}

static void help(const char *key)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    check(stream != NULL);
    hff_status status = config_help(all_rows, key, 72, stream);
    fclose(stream);
    check(status == HFF_E_USAGE || (status == HFF_OK && size > 0));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SETS = 4 };
    char *text = malloc(size + 1);
    check(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    const char *sets[SETS];
    int count = 0;
    for (const char *at = text + strlen(text); at < text + size && count < SETS; at += strlen(at)) {
        at++;
        if (*at == '?')
            help(at + 1);
        else
            sets[count++] = at;
    }
    struct config *config;
    hff_status status = config_parse(&config, all_rows, "fuzz", text, sets, count);
    check(status == HFF_OK || status == HFF_E_CONFIG);
    if (status == HFF_OK) {
        round_trip(config);
        overlay(config);
        config_free(config);
    }
    free(text);
    return 0;
}
