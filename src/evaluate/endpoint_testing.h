// An endpoint of a test: a server that says what it is told to.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "evaluate/endpoint.h"

namespace qad {

inline std::string Event(const std::string& text, const char* finish = nullptr) {
  return "data: " +
         Json{{"choices",
               {{{"delta", {{"content", text}}}, {"finish_reason", finish == nullptr ? Json() : Json(finish)}}}}}
             .dump() +
         "\n\n";
}
inline const std::string kUsageEvent =
    "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 12, \"completion_tokens\": 2}}\n\ndata: [DONE]\n\n";
// A server on the loopback that gives each connection the next of some replies, byte for byte, and closes it.
class EndpointServer {
 public:
  // Port 0: a free one.
  explicit EndpointServer(std::vector<std::string> replies, int stall_seconds = 0, uint16_t port = 0)
      : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int reuse = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_, any, size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    EXPECT_EQ(::getsockname(listener_, any, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, replies = std::move(replies), stall_seconds] {
      for (const std::string& reply : replies) Serve(reply, stall_seconds);
    });
  }
  ~EndpointServer() { Stop(); }
  EndpointServer(const EndpointServer&) = delete;
  EndpointServer& operator=(const EndpointServer&) = delete;

  EndpointOptions options() const {
    return {.url = fmt::format("http://127.0.0.1:{}/v1/", port_), .model = "any", .key_variable = "", .timeout = 20};
  }
  uint16_t port() const { return port_; }
  // Nobody is there any more.
  void Stop() {
    if (listener_ < 0) return;
    ::shutdown(listener_, SHUT_RDWR);  // wakes accept
    thread_.join();
    ::close(listener_);
    listener_ = -1;
  }
  const std::string& asked() const { return asked_; }  // by the last of them
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void Serve(const std::string& reply, int stall_seconds) {
    const int peer = ::accept(listener_, nullptr, nullptr);
    if (peer < 0) return;
    asked_.clear();
    size_t wanted = std::string::npos;
    while (asked_.size() < wanted) {
      char buffer[4096];
      const ssize_t got = ::recv(peer, buffer, sizeof(buffer), 0);
      if (got <= 0) break;
      asked_.append(buffer, static_cast<size_t>(got));
      const size_t head = asked_.find("\r\n\r\n"), length = asked_.find("Content-Length: ");
      if (head != std::string::npos && length != std::string::npos)
        wanted = head + 4 + std::stoul(asked_.substr(length + 16));
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(asked_);
    }
    // In small pieces: events are cut anywhere.
    for (size_t at = 0; at < reply.size(); at += 7)
      ::send(peer, reply.data() + at, std::min<size_t>(7, reply.size() - at), MSG_NOSIGNAL);
    for (int i = 0; i < 10 * stall_seconds; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ::close(peer);
  }

  int listener_;
  uint16_t port_ = 0;
  std::string asked_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

inline std::string Reply(int status, const std::string& body) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{}", status, body);
}

}  // namespace qad
