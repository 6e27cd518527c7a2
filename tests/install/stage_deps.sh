# tools/stage_deps.sh: what it collects builds a program and runs hff after the folder was moved, with nothing of this machine's own in reach.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
[ -z "${HFF_TEST_FLAGS:-}" ] || { echo "with the sanitizers the program needs their libraries: left out"; exit 0; }
rm -rf sd && mkdir sd && cd sd || exit 1
stage="$HFF_SOURCE_DIR/tools/stage_deps.sh"
wants 2 "usage" "$stage"
wants 2 "usage" "$stage" first --archive
mkdir other
wants 2 "name a new folder" "$stage" other
wants 1 "no such program" "$stage" first --program other
"$stage" first --program "$HFF_BUILD_DIR" >said.txt || { cat said.txt; exit 1; }
mv first moved
cat >main.c <<'C'
#include <Random123/philox.h>
#include <cairo.h>
#include <jansson.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <yaml.h>
#include <zlib.h>
int main(void)
{
    printf("%s %s %s %s %d\n", cairo_version_string(), jansson_version_str(), yaml_get_version_string(), zlibVersion(), dnnl_version()->major);
    return 0;
}
C
here() { env -i PATH="$PATH" "$@"; }
flags=$(here PKG_CONFIG_LIBDIR=none moved/bin/pkg-config --cflags --libs cairo jansson yaml-0.1 zlib) || { echo "its pkg-config fails"; bad=1; }
here "$CC" -I moved/include main.c $flags -ldnnl -Wl,--disable-new-dtags,-rpath,"$PWD/moved/lib" -o main || { echo "does not link"; bad=1; }
here ./main || { echo "does not run"; bad=1; }
here ldd main | grep -E 'cairo|jansson|yaml|libz|dnnl|pixman|freetype|gomp' | grep -v "$PWD/moved/lib" && { echo "a library is taken from elsewhere"; bad=1; }
expect "the program runs" here moved/bin/hff --version
tiny >tiny.yaml
expect "it trains, with its figures" here FONTCONFIG_FILE="$PWD/moved/fonts/fonts.conf" HOME="$PWD" moved/bin/hff train tiny.yaml --quiet
expect "a second time into the same folder" "$stage" moved
cd .. && rm -rf sd
exit $bad
