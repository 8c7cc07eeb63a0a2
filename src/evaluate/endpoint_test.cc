#include "evaluate/endpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_files.h"
#include "evaluate/endpoint_testing.h"

namespace qad {
namespace {

const std::string kWhole = Event("") + Event("Thirty") + Event(" days", "stop") + kUsageEvent;

const std::vector<Message> kAsked = {{"system", "Be brief."}, {"user", "How long may I return it?"}};

EndpointAnswer Ask(const EndpointOptions& options) { return Endpoint(options).Ask(kAsked, 8, 0, 1); }

std::string ErrorOf(const EndpointOptions& options, ErrorKind kind) {
  try {
    (void)Ask(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Endpoint, AnAnswerComesWithItsTimesAndTokens) {
  const EndpointServer server({Reply(200, ": a comment\n\n" + kWhole)});
  const EndpointAnswer answer = Ask(server.options());
  EXPECT_EQ(answer.text, "Thirty days");
  EXPECT_FALSE(answer.truncated);
  EXPECT_EQ(answer.prompt_tokens, 12);
  EXPECT_EQ(answer.output_tokens, 2);
  EXPECT_GT(answer.first_token_seconds, 0);
  EXPECT_LE(answer.first_token_seconds, answer.seconds);
  EXPECT_TRUE(IsPlausible(answer, 40, 2, 8));
  EXPECT_TRUE(server.asked().starts_with("POST /v1/chat/completions HTTP/1.1\r\n")) << server.asked();
  const Json request = ParseJson(std::string_view(server.asked()).substr(server.asked().find("\r\n\r\n") + 4), "asked");
  EXPECT_EQ(request["messages"], (Json{{{"role", "system"}, {"content", "Be brief."}},
                                       {{"role", "user"}, {"content", "How long may I return it?"}}}));
  EXPECT_EQ(request["max_tokens"], 8);
  EXPECT_EQ(request["stream"], true);
}

TEST(Endpoint, ACutAnswerAndOneWithoutUsage) {
  const EndpointServer server({Reply(200, Event("Thirty", "length") + "data: [DONE]\n\n")});
  const EndpointAnswer answer = Ask(server.options());
  EXPECT_TRUE(answer.truncated);
  EXPECT_FALSE(answer.output_tokens);
  EXPECT_FALSE(IsPlausible(answer, 40, 2, 8));
}

TEST(Endpoint, WhatPassesIsTriedAgain) {
  const EndpointServer server(
      {Reply(503, R"({"error": {"message": "loading"}})"), Reply(200, Event("Thir")), Reply(200, kWhole)});
  std::string shown;
  const EndpointAnswer answer =
      Endpoint(server.options()).Ask(kAsked, 8, 0, 1, [&](std::string_view piece) { shown += piece; });
  EXPECT_EQ(answer.text, "Thirty days");
  EXPECT_EQ(shown, "Thir\nThirty days") << "what broke off was shown when it came";
}

TEST(Endpoint, WhatDoesNotPassIsAnErrorThatSaysWhatTheEndpointSaid) {
  const EndpointServer busy({Reply(429, "slow\ndown"), Reply(429, "slow\ndown")});
  EndpointOptions options = busy.options();
  options.attempts = 2;
  const std::string message = ErrorOf(options, ErrorKind::kFailed);
  EXPECT_NE(message.find("status 429: slow down (2 attempts)"), std::string::npos) << message;

  const EndpointServer refusing({Reply(401, R"({"error": {"message": "wrong key"}})")});
  EXPECT_NE(ErrorOf(refusing.options(), ErrorKind::kInput).find("status 401: wrong key"), std::string::npos);

  const EndpointServer elsewhere({Reply(302, "")});
  EXPECT_NE(ErrorOf(elsewhere.options(), ErrorKind::kFailed).find("status 302"), std::string::npos);

  const EndpointServer other({Reply(200, "data: <html>\n\n")});
  EXPECT_NE(ErrorOf(other.options(), ErrorKind::kFailed).find("OpenAI-compatible"), std::string::npos);

  const std::string broken = Reply(200, Event("Thir") + "data: {\"error\": {\"message\": \"out of memory\"}}\n\n");
  const EndpointServer failing({broken, broken});
  options = failing.options();
  options.attempts = 2;
  EXPECT_NE(ErrorOf(options, ErrorKind::kFailed).find("out of memory (2 attempts)"), std::string::npos);
  const EndpointServer recovering({broken, Reply(200, kWhole)});
  EXPECT_EQ(Ask(recovering.options()).text, "Thirty days");

  const EndpointServer plain({Reply(200, R"({"choices": [{"message": {"content": "Thirty days"}}]})")});
  EXPECT_NE(ErrorOf(plain.options(), ErrorKind::kFailed).find("does it stream"), std::string::npos);
}

TEST(Endpoint, NobodyThereAndNobodyAnswering) {
  EndpointOptions options;
  {
    const EndpointServer gone({});
    options = gone.options();
  }
  options.attempts = 1;
  EXPECT_NE(ErrorOf(options, ErrorKind::kFailed).find("is the endpoint up?"), std::string::npos);

  const EndpointServer stalling({Reply(200, Event("Thirty"))}, 1);
  options = stalling.options();
  options.attempts = 1;
  options.timeout = 0.3;
  EXPECT_NE(ErrorOf(options, ErrorKind::kFailed).find("within 0.3 s"), std::string::npos);
}

TEST(Endpoint, SecretsComeFromTheEnvironmentAlone) {
  const EndpointServer server({Reply(200, kWhole)});
  EndpointOptions options = server.options();
  options.key_variable = "QAD_TEST_KEY";
  ::unsetenv("QAD_TEST_KEY");
  EXPECT_NE(ErrorOf(options, ErrorKind::kUsage).find("QAD_TEST_KEY"), std::string::npos);
  ::setenv("QAD_TEST_KEY", "s3cret", 1);
  EXPECT_EQ(Ask(options).text, "Thirty days");
  EXPECT_NE(server.asked().find("Authorization: Bearer s3cret\r\n"), std::string::npos);
  ::unsetenv("QAD_TEST_KEY");
  for (const char* url : {"file:///etc/passwd", "http://", "http://me:s3cret@host/v1", "http://host/v1?key=s3cret",
                          "http://host/v1#s3cret"}) {
    options.url = url;
    const std::string message = ErrorOf(options, ErrorKind::kUsage);
    EXPECT_NE(message.find("http://"), std::string::npos);
    EXPECT_EQ(message.find("s3cret"), std::string::npos);
  }
}

TEST(Endpoint, UsageThatCannotBeTrueIsNotBelieved) {
  const auto plausible = [](int64_t prompt, int64_t output, const std::string& text) {
    EndpointAnswer answer;
    answer.text = text;
    answer.prompt_tokens = prompt;
    answer.output_tokens = output;
    return IsPlausible(answer, 100, 2, 8);
  };
  EXPECT_TRUE(plausible(30, 2, "Thirty days"));
  EXPECT_TRUE(plausible(30, 0, ""));
  EXPECT_FALSE(plausible(0, 2, "Thirty days"));
  EXPECT_FALSE(plausible(5000, 2, "Thirty days")) << "more tokens than bytes";
  EXPECT_FALSE(plausible(30, 0, "Thirty days"));
  EXPECT_FALSE(plausible(30, 9, "Thirty days")) << "more than was asked for";
  EXPECT_FALSE(plausible(30, 1, std::string(1000, 'x')));
}

TEST(Endpoint, TokensThatAreNotBelievedAreCounted) {
  const Tokenizer tokenizer = Tokenizer::FromTokenizerJson(TestData("text/bytelevel-smollm/tokenizer.json"));
  const auto count = [&](std::optional<int64_t> prompt, std::optional<int64_t> output) {
    EndpointAnswer answer;
    answer.text = "Thirty days";
    answer.prompt_tokens = prompt;
    answer.output_tokens = output;
    return CountTokens(answer, kAsked, 8, 17, tokenizer);
  };
  const TokenCounts given = count(30, 2), missing = count({}, {}), doubtful = count(30, 9), half = count(30, {});
  EXPECT_EQ(given.prompt, 30);
  EXPECT_EQ(given.output, 2);
  EXPECT_EQ(given.usage, Usage::kGiven);
  EXPECT_EQ(missing.usage, Usage::kMissing);
  EXPECT_EQ(doubtful.usage, Usage::kDoubtful);
  EXPECT_EQ(half.usage, Usage::kDoubtful);
  for (const TokenCounts& counts : {missing, doubtful, half}) {
    EXPECT_EQ(counts.prompt, 17);
    EXPECT_EQ(counts.output, static_cast<int64_t>(tokenizer.Encode("Thirty days").size()));
  }
}

TEST(EventReader, PiecesMayBeCutAnywhere) {
  for (size_t step = 1; step < 40; ++step) {
    EventReader reader("test");
    bool text = false;
    for (size_t at = 0; at < kWhole.size(); at += step)
      text = reader.Read(std::string_view(kWhole).substr(at, step)) || text;
    EXPECT_TRUE(text && reader.ended());
    EXPECT_EQ(reader.answer().text, "Thirty days");
  }
  EventReader crlf("test");
  crlf.Read("data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\r\n\r\nevent: x\r\ndata:[DONE]\r\n\r\n");
  EXPECT_EQ(crlf.answer().text, "a");
  EXPECT_TRUE(crlf.ended());
  EventReader odd("test");
  EXPECT_FALSE(odd.Read(
      "data: {\"choices\": [{}]}\ndata: {\"choices\": 3}\ndata: {\"choices\": [{\"delta\": {\"content\": 3}}]}\n"));
  EXPECT_THROW(odd.Read("data: 3\n"), Error);
}

}  // namespace
}  // namespace qad
