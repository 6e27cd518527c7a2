#!/usr/bin/env bash
# From a fresh clone to a trained net: installs what is missing, builds, trains a small convolutional HFF net on generated digits, evaluates it,
# and says where the figures are. Safe to run again.  tools/quickstart.sh [BUILD_DIR] [RUNS_DIR]
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/packages.sh
dir="${1:-build}" runs="${2:-runs}"
begin=$SECONDS
export LC_ALL="${LC_ALL:-C.UTF-8}"

step "packages" install_packages $BUILD_PACKAGES
step "configure" cmake -S . -B "$dir" -G Ninja -DHFF_TESTS=OFF --log-level=WARNING
step "build" build "$dir" hff_program
step "train a small convolutional net, no backpropagation" "$dir/hff" train configs/digits_cnn.yaml --out "$runs" --name quickstart --force
step "evaluate, and compare with a linear softmax on the same pixels" "$dir/hff" eval "$runs/quickstart" --probe
step "a fully connected net, as HFF" "$dir/hff" train configs/digits_mlp.yaml --out "$runs" --name quickstart-hff --force --quiet
step "the same layers as FF (Forward-Forward, one pass for each class)" "$dir/hff" train configs/digits_ff.yaml --out "$runs" --name quickstart-ff --force --quiet
step "HFF against FF: accuracy and prediction speed" "$dir/hff" bench infer "$runs/quickstart-hff" "$runs/quickstart-ff" --figure "$runs/quickstart/figures/hff_and_ff.png"

echo
echo "model    $runs/quickstart/model.safetensors"
echo "figures  $(cd "$runs/quickstart/figures" && ls *.png | tr '\n' ' ')in $runs/quickstart/figures"
echo "log      $runs/quickstart/log.jsonl  (TensorBoard: tensorboard --logdir $runs)"
echo "next     $dir/hff config help;  $dir/hff train configs/paper/mnist_mlp.yaml  (see README.md for the data)"
echo "OK: quick start done in $((SECONDS - begin)) s"
