#include "pipelines/serving/web_api.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "core/base64.h"
#include "dataloader/decode_image.h"
#include "dataloader/encode_image.h"
#include "dataloader/exif.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/serving/test_painter.h"

namespace crescendo::pipelines {
namespace {

class WebApiTest : public testing::Test {
 protected:
  ~WebApiTest() override {
    stop_ = true;
    worker_.join();
  }

  Json get(const std::string& path) { return Json::parse(api_.answer({"GET", path}).body); }

  ApiAnswer post(const std::string& path, const std::string& body) {
    return api_.answer({"POST", path, {}, body});
  }

  ApiAnswer paint(const Json& body) { return post("/sdapi/v1/txt2img", body.dump()); }

  TemporaryFolder folder_;
  TestPainter painter_;
  Painter functions_ = painter_.painter();
  JobQueue queue_{4};
  WebApi api_{functions_, queue_, {{.max_pixels = 256 * 256, .max_pictures = 4}, folder_ / ""}};
  std::atomic<bool> stop_ = false;
  std::thread worker_{[this] {
    try {
      queue_.work(functions_, [this] {
        if (stop_) throw PaintingCancelled();
      });
    } catch (const PaintingCancelled&) {
    }
  }};
};

TEST_F(WebApiTest, AnswersAsTheirsWithPicturesAndHowTheyWereMade) {
  const ApiAnswer answer =
      paint({{"prompt", "a cat"}, {"seed", 5}, {"batch_size", 2}, {"width", 72}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json json = Json::parse(answer.body);
  ASSERT_EQ(json["images"].size(), 2U);
  const auto png = from_base64(json["images"][1].get<std::string>());
  ASSERT_TRUE(png);
  const dataloader::Image image = dataloader::decode_image(*png);
  EXPECT_EQ(image.width, 72);
  EXPECT_EQ(image.pixels[0], 6) << "of seed 5 + 1";
  EXPECT_EQ(json["parameters"]["prompt"], "a cat");
  const Json info = Json::parse(json["info"].get<std::string>());
  EXPECT_EQ(info["seed"], 5);
  EXPECT_EQ(info["all_seeds"], Json({5, 6}));
  EXPECT_EQ(info["sampler_name"], "Euler");
  EXPECT_EQ(info["infotexts"][0], "a cat\nSteps: 4");
  EXPECT_EQ(info["warnings"], Json::array());
}

TEST_F(WebApiTest, TellsWhatAPictureSaysOfItself) {
  const dataloader::Image picture{.width = 1, .height = 1, .pixels = {1, 2, 3}};
  const auto png = dataloader::encode_png(picture, {}, {{"parameters", "a cat"}, {"a", "b"}});
  const auto ask = [&](const Json& image) {
    return post("/sdapi/v1/png-info", Json{{"image", image}}.dump());
  };
  const Json told = Json::parse(ask("data:image/png;base64," + to_base64(png)).body);
  EXPECT_EQ(told["info"], "a cat");
  EXPECT_EQ(told["items"], Json({{"a", "b"}, {"parameters", "a cat"}}));
  EXPECT_EQ(Json::parse(ask(to_base64(dataloader::encode_png(picture))).body)["info"], "");
  const auto jpeg = dataloader::encode_jpeg(picture, 90, dataloader::exif_with_comment("a dog"));
  EXPECT_EQ(Json::parse(ask(to_base64(jpeg)).body)["info"], "a dog");
  for (const Json& bad : {Json(), Json(3), Json("*"), Json("YWJj")}) {
    const ApiAnswer answer = ask(bad);
    EXPECT_EQ(answer.status, 422) << answer.body;
    EXPECT_NE(answer.body.find("image"), std::string::npos) << answer.body;
  }
}

TEST_F(WebApiTest, KeepsPicturesInTheFolder) {
  ASSERT_EQ(paint({{"prompt", "a"}, {"seed", 7}, {"send_images", false}}).status, 200);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "")) {
    names.push_back(entry.path().filename().string());
  }
  ASSERT_EQ(names.size(), 1U);
  EXPECT_TRUE(names[0].ends_with("-7.png")) << names[0];
}

TEST_F(WebApiTest, WithoutSendImagesThereAreNone) {
  const Json json = Json::parse(paint({{"prompt", "a"}, {"send_images", false}}).body);
  EXPECT_EQ(json["images"], Json::array());
}

TEST_F(WebApiTest, WhatCannotBeDrawnIsNoneOfTheQueuesBusiness) {
  const ApiAnswer answer = paint({{"prompt", "impossible"}});
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.body, R"({"detail":"prompt: impossible"})");
  EXPECT_EQ(painter_.seen().size(), 0U);
}

TEST_F(WebApiTest, AFieldIsNamedAsFastApiNamesIt) {
  const ApiAnswer answer = paint({{"steps", 0}});
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(
      answer.body,
      R"({"detail":[{"loc":["body","steps"],"msg":"expected 1 to 1000, found 0","type":"value_error"}]})");
}

TEST_F(WebApiTest, AFailureOfOursIs500AndTheNextIsDrawn) {
  const ApiAnswer answer = paint({{"prompt", "broken"}});
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body, R"({"detail":"out of memory"})");
  EXPECT_EQ(paint({{"prompt", "a"}}).status, 200);
}

TEST_F(WebApiTest, UnknownRoutesAndMethods) {
  EXPECT_EQ(api_.answer({"GET", "/nowhere"}).status, 404);
  EXPECT_EQ(api_.answer({"GET", "/sdapi/v1/txt2img"}).status, 405);
  EXPECT_EQ(post("/", "{}").status, 405);
}

TEST_F(WebApiTest, ListsWhatThereIs) {
  EXPECT_EQ(get("/sdapi/v1/samplers")[0]["name"], "Euler a");
  EXPECT_EQ(get("/sdapi/v1/schedulers")[2]["label"], "Karras");
  EXPECT_EQ(get("/sdapi/v1/sd-models")[0]["title"], "tiny");
  EXPECT_EQ(get("/sdapi/v1/upscalers"), Json::array());
  EXPECT_EQ(get("/crescendo/v1/model")["sampler"], "Euler");
  EXPECT_EQ(api_.answer({"GET", "/"}).body.substr(0, 15), "<!DOCTYPE html>");
}

TEST_F(WebApiTest, OptionsAreAsTheyAre) {
  EXPECT_EQ(get("/sdapi/v1/options")["sd_model_checkpoint"], "tiny");
  EXPECT_EQ(post("/sdapi/v1/options", R"({"sd_model_checkpoint":"tiny"})").status, 200);
  EXPECT_EQ(post("/sdapi/v1/options", R"({"sd_model_checkpoint":"other"})").status, 422);
  EXPECT_EQ(post("/sdapi/v1/options", R"({"live_previews_enable":true})").status, 422);
}

TEST_F(WebApiTest, ProgressOfTheCurrentRequestAndOfOneByItsName) {
  EXPECT_EQ(get("/sdapi/v1/progress")["progress"], 0);
  painter_.hold();
  std::thread client([this] { paint({{"prompt", "a"}, {"force_task_id", "mine"}}); });
  painter_.wait_until_held();
  get("/sdapi/v1/progress");  // asks for a preview
  painter_.step();
  painter_.wait_until_held();
  const Json progress = get("/sdapi/v1/progress");
  EXPECT_EQ(progress["progress"], 0.25);
  EXPECT_EQ(progress["state"]["sampling_steps"], 4);
  EXPECT_TRUE(from_base64(progress["current_image"].get<std::string>()));
  const ApiAnswer without =
      api_.answer({"GET", "/sdapi/v1/progress", {{"skip_current_image", "true"}}});
  EXPECT_EQ(Json::parse(without.body)["current_image"], nullptr);
  const auto task = [this](const Json& body) {
    return Json::parse(post("/internal/progress", body.dump()).body);
  };
  const Json mine = task({{"id_task", "mine"}});
  EXPECT_EQ(mine["active"], true);
  EXPECT_EQ(mine["progress"], 0.25);
  EXPECT_TRUE(mine["live_preview"].get<std::string>().starts_with("data:image/png;base64,"));
  EXPECT_EQ(
      task({{"id_task", "mine"}, {"id_live_preview", mine["id_live_preview"]}})["live_preview"],
      nullptr);
  EXPECT_EQ(task({{"id_task", "other"}})["active"], false);
  EXPECT_EQ(progress["state"]["skipped"], false);
  EXPECT_EQ(post("/sdapi/v1/skip", "").status, 200);
  EXPECT_EQ(get("/sdapi/v1/progress")["state"]["skipped"], true);
  post("/sdapi/v1/interrupt", "");
  painter_.release();
  client.join();
  EXPECT_EQ(task({{"id_task", "mine"}})["completed"], true);
}

}  // namespace
}  // namespace crescendo::pipelines
