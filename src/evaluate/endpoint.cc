#include "evaluate/endpoint.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "text/unicode.h"

namespace qad {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostBytes = size_t{16} << 20;  // of an answer's events
constexpr size_t kShownBytes = 300;              // of what an endpoint says went wrong
constexpr long kConnectSeconds = 10;
constexpr size_t kTemplateTokens = 64;  // that a chat template adds to a message, at most

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// What an endpoint says, short and printable.
std::string Shown(std::string_view body) {
  std::string message(body.substr(0, kShownBytes));
  try {
    const Json json = ParseJson(body, "error");
    const Json& error = json.is_object() && json.contains("error") ? json["error"] : json;
    if (error.is_string()) message = error.get<std::string>();
    if (error.is_object() && error.contains("message") && error["message"].is_string())
      message = error["message"].get<std::string>();
  } catch (const Error&) {
    // it is shown as it came
  }
  message = ReplaceInvalidUtf8(message.substr(0, kShownBytes));
  for (char& c : message)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return message.empty() ? "no message" : message;
}

std::optional<int64_t> CountOf(const Json& usage, const char* key) {
  const auto found = usage.find(key);
  if (found == usage.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

// What may be better the next time.
class Passing : public std::exception {
 public:
  explicit Passing(std::string what) : what_(std::move(what)) {}
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

}  // namespace

bool IsPlainAddress(std::string_view url) {
  const bool http = url.starts_with("http://") || url.starts_with("https://");
  return http && url.size() > url.find("//") + 2 && url.find_first_of("@?# ") == std::string_view::npos;
}

bool EventReader::Read(std::string_view bytes) {
  if ((bytes_ += bytes.size()) > kMostBytes)
    Fail(ErrorKind::kFailed, "{}: an answer of more than {} MiB", where_, kMostBytes >> 20);
  bool text = false;
  for (const char c : bytes) {
    if (c != '\n') {
      line_ += c;
      continue;
    }
    if (line_.ends_with('\r')) line_.pop_back();
    if (line_.starts_with("data:")) {
      const std::string_view data = std::string_view(line_).substr(5);
      text = ReadEvent(data.starts_with(' ') ? data.substr(1) : data) || text;
    }
    line_.clear();
  }
  return text;
}

bool EventReader::ReadEvent(std::string_view data) {
  any_ = true;
  if (data == "[DONE]") {
    ended_ = true;
    return false;
  }
  Json event;
  try {
    event = ParseJson(data, where_);
  } catch (const Error& error) {
    Fail(ErrorKind::kFailed, "{}; is this an OpenAI-compatible endpoint?", error.what());
  }
  if (!event.is_object()) Fail(ErrorKind::kFailed, "{}: an event that is no object", where_);
  if (event.contains("error")) {
    failure_ = fmt::format("{}: {}", where_, Shown(data));
    return false;
  }
  if (const auto usage = event.find("usage"); usage != event.end() && usage->is_object()) {
    answer_.prompt_tokens = CountOf(*usage, "prompt_tokens");
    answer_.output_tokens = CountOf(*usage, "completion_tokens");
  }
  const auto choices = event.find("choices");
  if (choices == event.end() || !choices->is_array() || choices->empty() || !choices->front().is_object()) return false;
  const Json& choice = choices->front();
  if (const auto reason = choice.find("finish_reason"); reason != choice.end() && reason->is_string()) {
    answer_.truncated = *reason == "length";
    ended_ = true;
  }
  const auto delta = choice.find("delta");
  if (delta == choice.end() || !delta->is_object()) return false;
  const auto content = delta->find("content");
  if (content == delta->end() || !content->is_string() || content->get_ref<const std::string&>().empty()) return false;
  answer_.text += content->get_ref<const std::string&>();
  return true;
}

// One handle, so that requests share a connection.
struct Endpoint::Connection {
  CURL* handle = curl_easy_init();
  curl_slist* headers = nullptr;
  std::string target, host;  // host: the address as it is shown
  Clock::time_point start;
  std::string body;  // of an answer that is none
  std::unique_ptr<EventReader> events;
  std::optional<double> first;
  std::function<void(std::string_view)> shown;  // may be empty
  size_t shown_bytes = 0;                       // of this attempt's text
  std::exception_ptr thrown;

  Connection() {
    if (handle == nullptr) Fail(ErrorKind::kFailed, "libcurl cannot be started");
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(handle);
  }

  static size_t OnBytes(char* bytes, size_t size, size_t count, void* self) {
    auto& connection = *static_cast<Connection*>(self);
    const std::string_view text(bytes, size * count);
    try {
      long status = 0;
      curl_easy_getinfo(connection.handle, CURLINFO_RESPONSE_CODE, &status);
      if (status != 200) {
        if (connection.body.size() < kMostBytes) connection.body += text;
      } else if (connection.events->Read(text)) {
        if (!connection.first) connection.first = SecondsSince(connection.start);
        connection.Show();
      }
      return text.size();
    } catch (...) {
      connection.thrown = std::current_exception();  // not through C
      return 0;
    }
  }
  static int OnProgress(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) { return Interrupted() ? 1 : 0; }

  void Show() {
    if (!shown) return;
    const std::string_view all = events->answer().text;
    shown(all.substr(shown_bytes));
    shown_bytes = all.size();
  }

  EndpointAnswer Post(const std::string& request, double timeout);
};

EndpointAnswer Endpoint::Connection::Post(const std::string& request, double timeout) {
  body.clear();
  first.reset();
  if (shown_bytes > 0) shown("\n");  // an attempt that broke off
  shown_bytes = 0;
  thrown = nullptr;
  events = std::make_unique<EventReader>(host);
  curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.c_str());
  curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.size()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout * 1e3));
  start = Clock::now();
  const CURLcode code = curl_easy_perform(handle);
  const double seconds = SecondsSince(start);
  ThrowIfInterrupted();
  if (thrown) std::rethrow_exception(thrown);
  if (code == CURLE_OPERATION_TIMEDOUT) throw Passing(fmt::format("{}: no whole answer within {} s", host, timeout));
  if (code != CURLE_OK) throw Passing(fmt::format("{}: {}", host, curl_easy_strerror(code)));
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  const bool later = status == 408 || status == 429 || status >= 500;
  if (later) throw Passing(fmt::format("{}: status {}: {}", host, status, Shown(body)));
  if (status >= 400) FailInput("{}: refuses the request with status {}: {}", host, status, Shown(body));
  if (status != 200)
    Fail(ErrorKind::kFailed, "{}: answers with status {}; is this the address of an OpenAI-compatible endpoint?", host,
         status);
  if (events->failure()) throw Passing(*events->failure());
  if (!events->any())
    Fail(ErrorKind::kFailed, "{}: answers without events; does it stream, and is it OpenAI-compatible?", host);
  if (!events->ended()) throw Passing(fmt::format("{}: the answer breaks off", host));
  EndpointAnswer answer = events->answer();
  answer.seconds = seconds;
  answer.first_token_seconds = first.value_or(seconds);
  return answer;
}

Endpoint::Endpoint(EndpointOptions options) : options_(std::move(options)) {
  if (!IsPlainAddress(options_.url))
    Fail(ErrorKind::kUsage, "an endpoint's address begins with http:// or https:// and has no user, query or fragment");
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) Fail(ErrorKind::kFailed, "libcurl: {}", curl_easy_strerror(started));
  connection_ = std::make_unique<Connection>();
  Connection& c = *connection_;
  while (options_.url.ends_with('/')) options_.url.pop_back();
  c.target = options_.url + "/chat/completions";
  c.host = options_.url;
  c.headers = curl_slist_append(c.headers, "Content-Type: application/json");
  c.headers = curl_slist_append(c.headers, "Accept: text/event-stream");
  if (!options_.key_variable.empty()) {
    const char* key = std::getenv(options_.key_variable.c_str());
    if (key == nullptr || *key == '\0')
      Fail(ErrorKind::kUsage, "endpoint {}: its key is to be in the environment's {}, which is not set", c.host,
           options_.key_variable);
    c.headers = curl_slist_append(c.headers, fmt::format("Authorization: Bearer {}", key).c_str());
  }
  curl_easy_setopt(c.handle, CURLOPT_URL, c.target.c_str());
  curl_easy_setopt(c.handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c.handle, CURLOPT_HTTPHEADER, c.headers);
  curl_easy_setopt(c.handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(c.handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c.handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c.handle, CURLOPT_XFERINFOFUNCTION, &Connection::OnProgress);
  curl_easy_setopt(c.handle, CURLOPT_WRITEFUNCTION, &Connection::OnBytes);
  curl_easy_setopt(c.handle, CURLOPT_WRITEDATA, &c);
}

Endpoint::~Endpoint() = default;

EndpointAnswer Endpoint::Ask(std::span<const Message> messages, int max_tokens, double temperature, uint64_t seed,
                             const std::function<void(std::string_view)>& shown) {
  Json turns = Json::array();
  for (const Message& message : messages)
    turns.push_back({{"role", message.role}, {"content", ReplaceInvalidUtf8(message.content)}});
  constexpr uint64_t kSeeds = uint64_t{1} << 31;
  const Json request = {{"model", options_.model},
                        {"messages", turns},
                        {"max_tokens", max_tokens},
                        {"temperature", temperature},
                        {"seed", seed % kSeeds},
                        {"stream", true},
                        {"stream_options", {{"include_usage", true}}}};
  const std::string body = DumpJson(request, -1);
  connection_->shown = shown;
  connection_->shown_bytes = 0;
  for (int attempt = 1;; ++attempt) {
    try {
      return connection_->Post(body, options_.timeout);
    } catch (const Passing& passing) {
      if (attempt >= options_.attempts)
        Fail(ErrorKind::kFailed, "{} ({} attempts); is the endpoint up?", passing.what(), attempt);
    }
    for (int i = 0; i < 10 * attempt; ++i) {
      ThrowIfInterrupted();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}

void Endpoint::RequireThere() {
  const Message hello{"user", "Hello"};
  (void)Ask({&hello, 1}, 1, 0, 0);
}

bool IsPlausible(const EndpointAnswer& answer, size_t prompt_bytes, size_t messages, int max_tokens) {
  if (!answer.prompt_tokens || !answer.output_tokens) return false;
  const int64_t prompt = *answer.prompt_tokens, output = *answer.output_tokens;
  if (prompt < static_cast<int64_t>(messages) ||
      prompt > static_cast<int64_t>(prompt_bytes + (messages + 1) * kTemplateTokens))
    return false;
  if (output > max_tokens || output < (answer.text.empty() ? 0 : 1)) return false;
  // A token may show nothing, but no token shows more than a hundred bytes or so.
  constexpr size_t kMostOfToken = 256;
  return answer.text.size() <= kMostOfToken * static_cast<size_t>(output);
}

TokenCounts CountTokens(const EndpointAnswer& answer, std::span<const Message> messages, int max_tokens,
                        size_t prompt_tokens, const Tokenizer& tokenizer) {
  size_t bytes = 0;
  for (const Message& message : messages) bytes += message.content.size();
  if (IsPlausible(answer, bytes, messages.size(), max_tokens))
    return {*answer.prompt_tokens, *answer.output_tokens, Usage::kGiven};
  const bool any = answer.prompt_tokens || answer.output_tokens;
  return {static_cast<int64_t>(prompt_tokens), static_cast<int64_t>(tokenizer.Encode(answer.text).size()),
          any ? Usage::kDoubtful : Usage::kMissing};
}

}  // namespace qad
