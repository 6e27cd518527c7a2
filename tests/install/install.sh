# cmake --install into a staging folder, as packagers do it; then a program outside the tree builds against what lies there, through
# find_package and through pkg-config, and runs.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf i && mkdir i && cd i || exit 1
DESTDIR="$PWD/stage" cmake --install "$HFF_BUILD_DIR" --prefix /opt/hff >install.txt || { cat install.txt; exit 1; }
prefix="$PWD/stage/opt/hff"
expect "installed program runs" "$prefix/bin/hff" --version
expect "installed configs are good" "$prefix/bin/hff" train "$prefix/share/hff/configs/digits_cnn.yaml" --dry-run
grep -rlF "$HFF_BUILD_DIR" "$prefix" --include='*.cmake' --include='*.pc' && { echo "names the build folder"; bad=1; }
tiny >tiny.yaml
cmake -S "$HFF_SOURCE_DIR/tests/install" -B outside -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="$HFF_TEST_FLAGS" >cmake.txt 2>&1 && cmake --build outside >>cmake.txt 2>&1 || { cat cmake.txt; exit 1; }
outside/outside tiny.yaml runs || { echo "find_package: the program failed"; bad=1; }
flags=$(PKG_CONFIG_PATH="$(dirname "$(find "$prefix" -name hff.pc)")" pkg-config --cflags --libs hff) || bad=1
"${CC:-cc}" $HFF_TEST_FLAGS "$HFF_SOURCE_DIR/tests/install/main.c" $flags -o by_pkg_config || { echo "pkg-config: does not build ($flags)"; bad=1; }
rm -rf runs
./by_pkg_config tiny.yaml runs || { echo "pkg-config: the program failed"; bad=1; }
cd .. && rm -rf i
exit $bad
