#include "daemon/ctl/curl_arguments.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <span>
#include <string_view>

namespace badged::ctl {
namespace {

enum class Effect { none, method, head, post, put, get, header, output_format };

struct CurlOption {
  char letter;  // 0: no short form
  std::string_view name;
  bool valued;
  Effect effect;
};

constexpr CurlOption options[] = {
    {'X', "request", true, Effect::method},  {'I', "head", false, Effect::head},
    {'G', "get", false, Effect::get},        {'d', "data", true, Effect::post},
    {0, "data-ascii", true, Effect::post},   {0, "data-binary", true, Effect::post},
    {0, "data-raw", true, Effect::post},     {0, "data-urlencode", true, Effect::post},
    {0, "json", true, Effect::post},         {'F', "form", true, Effect::post},
    {0, "form-string", true, Effect::post},  {'T', "upload-file", true, Effect::put},
    {'H', "header", true, Effect::header},   {'w', "write-out", true, Effect::output_format},
    {'o', "output", true, Effect::none},     {'i', "include", false, Effect::none},
    {'s', "silent", false, Effect::none},    {'S', "show-error", false, Effect::none},
    {'f', "fail", false, Effect::none},      {0, "fail-with-body", false, Effect::none},
    {'N', "no-buffer", false, Effect::none}, {'4', "ipv4", false, Effect::none},
    {'6', "ipv6", false, Effect::none},      {0, "compressed", false, Effect::none},
    {0, "http1.1", false, Effect::none},     {0, "http2", false, Effect::none},
    {'m', "max-time", true, Effect::none},   {0, "connect-timeout", true, Effect::none},
    {0, "max-filesize", true, Effect::none}, {0, "limit-rate", true, Effect::none},
    {'r', "range", true, Effect::none},      {'A', "user-agent", true, Effect::none},
    {'e', "referer", true, Effect::none},    {0, "cacert", true, Effect::none},
    {0, "capath", true, Effect::none},       {'E', "cert", true, Effect::none},
    {0, "key", true, Effect::none},          {0, "pinnedpubkey", true, Effect::none},
    {0, "resolve", true, Effect::none},      {0, "interface", true, Effect::none},
    {0, "unix-socket", true, Effect::none},
};

Failure usage(std::string description, std::string hint = {}) {
  return {Exit::usage, "usage", std::move(description), std::move(hint), {}};
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

const CurlOption* by_name(std::string_view name) {
  auto it = std::find_if(std::begin(options), std::end(options),
                         [&](const CurlOption& o) { return o.name == name; });
  return it == std::end(options) ? nullptr : it;
}

const CurlOption* by_letter(char letter) {
  auto it = std::find_if(std::begin(options), std::end(options),
                         [&](const CurlOption& o) { return o.letter == letter; });
  return it == std::end(options) ? nullptr : it;
}

// Why this value cannot be handed on; nothing: it can.
std::optional<Failure> refused_value(const CurlOption& option, const std::string& value) {
  if (option.effect == Effect::header) {
    std::string_view name(value.data(), std::min(value.find_first_of(":;"), value.size()));
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (value.starts_with('@') || same_word(name, "authorization") || same_word(name, "dpop"))
      return usage("-H " + std::string(name) + ": badgectl sets Authorization and DPoP itself",
                   "leave that header out; headers from a file (@) are not handed on");
  }
  bool from_stdin = value.ends_with("@-") || value.ends_with("<-") ||
                    (option.effect == Effect::put && (value == "-" || value == "."));
  bool reads = option.effect == Effect::post || option.effect == Effect::put ||
               option.effect == Effect::output_format;
  bool raw = option.name == "data-raw" || option.name == "form-string";
  if (reads && !raw && from_stdin)
    return usage("--" + std::string(option.name) + ": standard input carries the token to curl",
                 "name a file instead of standard input");
  return {};
}

// Walks the arguments, collecting them and what decides the method.
class Planner {
 public:
  explicit Planner(std::span<const std::string> arguments) : arguments_(arguments) {}

  std::optional<Failure> walk() {
    for (at_ = 0; at_ < arguments_.size(); ++at_) {
      std::string_view word = arguments_[at_];
      std::optional<Failure> failure = word.starts_with("--")              ? long_option(word)
                                       : word.size() > 1 && word[0] == '-' ? cluster(word)
                                                                           : stray(word);
      if (failure) return failure;
    }
    return {};
  }

  CurlPlan plan() && {
    if (!request_.empty())
      plan_.method = request_;
    else if (head_)
      plan_.method = "HEAD";
    else if (put_)
      plan_.method = "PUT";
    else if (post_ && !get_)
      plan_.method = "POST";
    return std::move(plan_);
  }

 private:
  std::optional<Failure> stray(std::string_view word) {
    return usage("curl argument " + std::string(word) + ": only one URL gets the token",
                 "call badgectl curl once per URL");
  }

  std::optional<Failure> unknown(const std::string& name) {
    return usage("curl option " + name + " is not handed on",
                 "redirects, further URLs, config files and traces would carry the token "
                 "elsewhere; badgectl token and badgectl proof serve other needs");
  }

  std::optional<Failure> long_option(std::string_view word) {
    const CurlOption* option = by_name(word.substr(2));
    if (!option) return unknown(std::string(word));
    return option->valued ? next_value(*option) : flag(*option);
  }

  // "-sSXPOST": flags, then at most one option with its value glued on or following.
  std::optional<Failure> cluster(std::string_view word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const CurlOption* option = by_letter(word[i]);
      if (!option) return unknown(std::string("-") + word[i]);
      if (!option->valued) {
        flag(*option);
        continue;
      }
      if (i + 1 < word.size()) return value(*option, std::string(word.substr(i + 1)));
      return next_value(*option);
    }
    return {};
  }

  std::optional<Failure> flag(const CurlOption& option) {
    head_ = head_ || option.effect == Effect::head;
    get_ = get_ || option.effect == Effect::get;
    plan_.arguments.push_back("--" + std::string(option.name));
    return {};
  }

  std::optional<Failure> next_value(const CurlOption& option) {
    if (at_ + 1 >= arguments_.size())
      return usage("curl option --" + std::string(option.name) + " needs a value");
    return value(option, arguments_[++at_]);
  }

  std::optional<Failure> value(const CurlOption& option, std::string text) {
    if (auto refused = refused_value(option, text)) return refused;
    post_ = post_ || option.effect == Effect::post;
    put_ = put_ || option.effect == Effect::put;
    if (option.effect == Effect::method) request_ = text;
    plan_.arguments.push_back("--" + std::string(option.name));
    plan_.arguments.push_back(std::move(text));
    return {};
  }

  std::span<const std::string> arguments_;
  std::size_t at_ = 0;
  CurlPlan plan_;
  std::string request_;
  bool head_ = false, get_ = false, post_ = false, put_ = false;
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

bool is_nonce(std::string_view text) {
  return !text.empty() && text.size() <= 512 && std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7F && c != '"' && c != '\\';
  });
}

void read_field(std::string_view line, ResourceHead& head) {
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
  if (same_word(name, "location")) head.location = value;
  if (same_word(name, "content-type")) head.content_type = value;
  if (same_word(name, "dpop-nonce") && is_nonce(value)) head.dpop_nonce = value;
  if (same_word(name, "www-authenticate") && head.status == 401)
    head.wants_nonce =
        head.wants_nonce || value.find("\"use_dpop_nonce\"") != std::string_view::npos;
}

// "HTTP/1.1 401 Unauthorized", "HTTP/2 200"; 0 for anything else.
int status_of(std::string_view line) {
  std::size_t space = line.find(' ');
  if (!line.starts_with("HTTP/") || space == std::string_view::npos) return 0;
  std::string_view code = line.substr(space + 1, 3);
  if (code.size() != 3 || code.find_first_not_of("0123456789") != std::string_view::npos) return 0;
  return (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
}

}  // namespace

Attempt<CurlPlan> plan_curl(const std::vector<std::string>& arguments) {
  Planner planner(arguments);
  if (auto failure = planner.walk()) return *failure;
  return std::move(planner).plan();
}

Attempt<std::string> resource_url(const std::string& text) {
  auto bad = [&](const std::string& why) {
    return Failure{Exit::malformed,
                   "malformed",
                   "read the URL " + text + ": " + why,
                   "an http or https URL, as the agent's grant names it",
                   {}};
  };
  std::size_t scheme = text.find("://");
  if (scheme == std::string::npos) return bad("it has no scheme");
  if (!same_word(text.substr(0, scheme), "https") && !same_word(text.substr(0, scheme), "http"))
    return bad("only http and https carry tokens");
  for (unsigned char c : text)
    if (c <= 0x20 || c >= 0x7F || c == '"' || c == '\\') return bad("it holds unsafe characters");
  if (text.find('#') != std::string::npos) return bad("it has a fragment");
  std::string authority =
      text.substr(scheme + 3, text.find_first_of("/?", scheme + 3) - scheme - 3);
  if (authority.empty()) return bad("it names no host");
  if (authority.find('@') != std::string::npos) return bad("it names a user");
  return text;
}

std::string curl_config(const std::string& url, const std::string& token_type,
                        const std::string& token, const std::string& proof) {
  std::string config = "url = " + quoted(url) + '\n' +
                       "header = " + quoted("Authorization: " + token_type + ' ' + token) + '\n';
  if (!proof.empty()) config += "header = " + quoted("DPoP: " + proof) + '\n';
  return config;
}

ResourceHead read_head(std::string_view dumped) {
  ResourceHead head;
  bool complete = false;
  while (!dumped.empty() && !complete) {
    std::size_t end = dumped.find('\n');
    if (end == std::string_view::npos) break;
    std::string_view line = trimmed(dumped.substr(0, end));
    dumped.remove_prefix(end + 1);
    if (line.empty()) {
      complete = head.status >= 200;  // an interim answer is followed by another
      continue;
    }
    if (int status = status_of(line))
      head = {status, {}, {}, {}, false};
    else
      read_field(line, head);
  }
  return complete ? head : ResourceHead{};
}

}  // namespace badged::ctl
