// Where models are found: paths, qad's cache, a hub cache with its links; and what incomplete ones say.
#include "io/model_files.h"

#include <cstdlib>

#include "base/test_files.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

class ModelFilesTest : public ::testing::Test {
 protected:
  ModelFilesTest() {
    ::setenv("QAD_CACHE", (folder_ / "cache").c_str(), 1);
    ::setenv("HF_HUB_CACHE", (folder_ / "hub").c_str(), 1);
  }
  ~ModelFilesTest() override {
    for (const char* name : {"QAD_CACHE", "HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) ::unsetenv(name);
  }

  // A copy of the sharded reference as `name`.
  fs::path Sharded(const std::string& name) const {
    fs::create_directories((folder_ / name).parent_path());
    fs::copy(TestData("io/sharded"), folder_ / name, fs::copy_options::recursive);
    return folder_ / name;
  }
  // The same as the hub lays it out: blobs named by hash, snapshots of links.
  fs::path Snapshot(const std::string& hub, const std::string& revision) const {
    fs::path root = folder_ / hub / "models--org--name";
    fs::create_directories(root / "blobs");
    fs::create_directories(root / "snapshots" / revision);
    for (const auto& entry : fs::directory_iterator(TestData("io/sharded"))) {
      const std::string name = entry.path().filename().string(), blob = "blob-" + name;
      fs::copy_file(entry.path(), root / "blobs" / blob, fs::copy_options::skip_existing);
      fs::create_symlink(fs::path("../../blobs") / blob, root / "snapshots" / revision / name);
    }
    return root;
  }

  TempFolder folder_;
};

TEST_F(ModelFilesTest, PathsComeFirst) {
  const fs::path model = Sharded("here");
  EXPECT_EQ(ResolveModel(model.string()), model);
  const fs::path file = folder_.Write("x.gguf", "");
  EXPECT_EQ(ResolveModel(file.string()), file);
}

TEST_F(ModelFilesTest, NamesInTheCache) {
  const fs::path model = Sharded("cache/models/one"), file = folder_.Write("cache/models/two.gguf", "");
  EXPECT_EQ(CacheFolder(), folder_ / "cache");
  EXPECT_EQ(ResolveModel("one"), model);
  EXPECT_EQ(ResolveModel("two"), file);
}

TEST_F(ModelFilesTest, HubIdsByTheMainReference) {
  const fs::path root = Snapshot("hub", "aaa");
  Snapshot("hub", "bbb");
  folder_.Write("hub/models--org--name/refs/main", "bbb\n");
  EXPECT_EQ(ResolveModel("org/name"), root / "snapshots/bbb");
  const ModelFiles files = OpenModel(ResolveModel("org/name"));
  EXPECT_EQ(files.shards.size(), 2u);
  EXPECT_EQ(ToFloats(*files.Find("c")), (std::vector<float>{3, 3}));
}

TEST_F(ModelFilesTest, HubIdsByTheOnlySnapshot) {
  const fs::path root = Snapshot("hub", "aaa");
  EXPECT_EQ(ResolveModel("org/name"), root / "snapshots/aaa");
  Snapshot("hub", "bbb");  // now nobody can tell
  EXPECT_TRUE(Fails([] { ResolveModel("org/name"); }, ErrorKind::kInput, {"org/name: no such model"}));
  folder_.Write("hub/models--org--name/refs/main", "../../../etc");
  EXPECT_TRUE(Fails([] { ResolveModel("org/name"); }, ErrorKind::kInput, {"org/name: no such model"}));
}

TEST_F(ModelFilesTest, HubCacheByOtherVariables) {
  ::unsetenv("HF_HUB_CACHE");
  ::setenv("XDG_CACHE_HOME", (folder_ / "xdg").c_str(), 1);
  const fs::path xdg = Snapshot("xdg/huggingface/hub", "aaa");
  EXPECT_EQ(ResolveModel("org/name"), xdg / "snapshots/aaa");
  ::setenv("HF_HOME", (folder_ / "home").c_str(), 1);
  const fs::path home = Snapshot("home/hub", "aaa");
  EXPECT_EQ(ResolveModel("org/name"), home / "snapshots/aaa");
}

TEST_F(ModelFilesTest, SaysWhereItLooked) {
  EXPECT_TRUE(Fails([] { ResolveModel("org/none"); }, ErrorKind::kInput,
                    {"org/none: no such model", "cache/models/org/none.gguf", "hub (hub cache)", "fetch-model"}));
  EXPECT_TRUE(Fails([] { ResolveModel(""); }, ErrorKind::kInput, {"no model was named"}));
}

TEST_F(ModelFilesTest, OpensShards) {
  const ModelFiles files = OpenModel(Sharded("m"));
  EXPECT_EQ(files.gguf, nullptr);
  EXPECT_EQ(files.shard_of.size(), 3u);
  EXPECT_EQ(ToFloats(*files.Find("b")), (std::vector<float>{2, 2, 2}));
  EXPECT_EQ(files.Find("d"), nullptr);
  files.DropPages();
  EXPECT_EQ(ToFloats(*files.Find("a")), (std::vector<float>{1, 1, 1, 1}));
}

TEST_F(ModelFilesTest, OpensGguf) {
  const ModelFiles files = OpenModel(TestData("io/tiny-v3.gguf"));
  ASSERT_NE(files.gguf, nullptr);
  EXPECT_NE(files.gguf->Find("plain"), nullptr);
}

TEST_F(ModelFilesTest, HashChangesWithContentOnly) {
  const fs::path a = Sharded("a"), b = Sharded("b");
  const std::string hash = OpenModel(a).Hash();
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ(OpenModel(b).Hash(), hash);
  folder_.Write("b/tokenizer.json", "{}");
  EXPECT_NE(OpenModel(b).Hash(), hash);
  folder_.Write("a/config.json", "{}");
  EXPECT_NE(OpenModel(a).Hash(), hash);
}

TEST_F(ModelFilesTest, APartialSnapshotNamesItsMissingShards) {
  const fs::path root = Snapshot("hub", "aaa");
  fs::remove(root / "blobs/blob-model-00002-of-00002.safetensors");  // leaves a link to nowhere
  EXPECT_TRUE(Fails([] { OpenModel(ResolveModel("org/name")); }, ErrorKind::kInput,
                    {"shards are missing: model-00002-of-00002.safetensors;"}));
}

TEST_F(ModelFilesTest, AnIndexMayNotLeaveItsFolder) {
  const fs::path model = Sharded("m");
  for (const char* file : {"../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "", "a\\\\b"}) {
    folder_.Write("m/model.safetensors.index.json", fmt::format(R"({{"weight_map": {{"a": "{}"}}}})", file));
    EXPECT_TRUE(Fails([&] { OpenModel(model); }, ErrorKind::kInput,
                      {"index.json: weight_map \"a\" points to", "bare file names"}))
        << file;
  }
}

TEST_F(ModelFilesTest, AnIndexThatLies) {
  const fs::path model = Sharded("m");
  const auto refused = [&](std::string_view index, std::string_view part) {
    folder_.Write("m/model.safetensors.index.json", index);
    return Fails([&] { OpenModel(model); }, ErrorKind::kInput, {"index.json", part});
  };
  EXPECT_TRUE(refused(R"({"weight_map": {"c": "model-00001-of-00002.safetensors"}})",
                      "places tensor \"c\" in model-00001-of-00002.safetensors, which does not hold it"));
  EXPECT_TRUE(refused(R"({"weight_map": {}})", "weight_map is empty"));
  EXPECT_TRUE(refused(R"({"weight_map": {"a": 5}})", "weight_map \"a\" must be a file name"));
  EXPECT_TRUE(refused(R"({"weight_map": []})", "weight_map"));
  EXPECT_TRUE(refused(R"({})", "\"weight_map\" is missing"));
  EXPECT_TRUE(refused(R"({"weight_map": )", "not valid JSON"));
}

TEST_F(ModelFilesTest, PicklesAreRefusedWithARemedy) {
  folder_.Write("m/config.json", "{}");
  folder_.Write("m/pytorch_model.bin", "x");
  EXPECT_TRUE(Fails([&] { OpenModel(folder_ / "m"); }, ErrorKind::kInput,
                    {"only pickled weights (pytorch_model.bin)", "save_pretrained"}));
  EXPECT_TRUE(Fails([&] { OpenModel(folder_ / "m/pytorch_model.bin"); }, ErrorKind::kInput, {"pickles are programs"}));
}

TEST_F(ModelFilesTest, AFolderWithoutAModel) {
  fs::create_directories(folder_ / "m");
  EXPECT_TRUE(Fails([&] { OpenModel(folder_ / "m"); }, ErrorKind::kInput, {"config.json is missing"}));
  folder_.Write("m/config.json", "{}");
  EXPECT_TRUE(Fails([&] { OpenModel(folder_ / "m"); }, ErrorKind::kInput, {"no model.safetensors and no"}));
}

}  // namespace
}  // namespace qad
