// What becomes of layers that an earlier run left.
#include "quantize/layer_store.h"

#include "base/error.h"
#include "base/files.h"
#include "base/test_files.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

Json KeyOf(int value) { return {{"made by", "qad test"}, {"a", value}}; }

TEST(LayerStore, LayersOfAnotherRunAreRemovedAndForeignFoldersKept) {
  const TempFolder folder;
  const fs::path output = folder / "out";
  const float value = 1;
  {
    LayerStore store(output, KeyOf(1));
    store.Save(0, {{"x", DType::kF32, {1}, std::as_bytes(std::span(&value, 1))}}, {{"change", 2}});
    EXPECT_EQ(store.done(), 1u);
  }
  EXPECT_EQ(LayerStore(output, KeyOf(1)).done(), 1u);
  EXPECT_EQ(LayerStore(output, KeyOf(1)).Summary(0), Json({{"change", 2}}));
  EXPECT_EQ(LayerStore(output, KeyOf(2)).done(), 0u);
  LayerStore(output, KeyOf(2)).Remove();
  fs::create_directories(folder / "out.layers");
  WriteFileAtomic(folder / "out.layers" / "mine.txt", "keep");
  EXPECT_THROW(LayerStore(output, KeyOf(1)), Error);
  WriteFileAtomic(folder / "out.layers" / "key.json", "{\"made by\": \"someone else\"}");
  EXPECT_THROW(LayerStore(output, KeyOf(1)), Error);
  EXPECT_TRUE(fs::exists(folder / "out.layers" / "mine.txt"));
}

TEST(LayerStore, DamagedLayersAreMadeAgainAndSlashesDoNotMatter) {
  const TempFolder folder;
  const float value = 1;
  const auto save = [&](LayerStore& store, size_t layer) {
    store.Save(layer, {{"x", DType::kF32, {1}, std::as_bytes(std::span(&value, 1))}}, {{"change", 2}});
  };
  {
    LayerStore store(folder / "out" / "", KeyOf(1));
    save(store, 0);
    save(store, 1);
  }
  EXPECT_EQ(LayerStore(folder / "out", KeyOf(1)).done(), 2u);
  WriteFileAtomic(folder / "out.layers" / "layer-1.safetensors", "half");
  EXPECT_EQ(LayerStore(folder / "out", KeyOf(1)).done(), 1u);
}

}  // namespace
}  // namespace qad
