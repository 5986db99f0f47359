#include "fuzz/mutate.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace fuzz {
namespace {

using Json = nlohmann::ordered_json;

std::string number_word(Dice& d) {
  static const std::vector<std::string> words{"0",
                                              "1",
                                              "-1",
                                              "2",
                                              "3",
                                              "7",
                                              "0.5",
                                              "1.5",
                                              "-0.0",
                                              "1e39",
                                              "1e308",
                                              "1e400",
                                              "-1e39",
                                              "nan",
                                              "inf",
                                              "-inf",
                                              "255",
                                              "65536",
                                              "2147483647",
                                              "2147483648",
                                              "-2147483649",
                                              "4294967296",
                                              "9007199254740993",
                                              "9223372036854775807",
                                              "-9223372036854775808",
                                              "9223372036854775808",
                                              "1e-320",
                                              "0x10",
                                              "1_000",
                                              "1e"};
  return d.of(words);
}

std::string string_word(Dice& d) {
  static const std::vector<std::string> words{
      "",        "x",         "none",      "y",        "group",    "a b",          "a,b",
      "\\u007F", "\\u0000",   "\x7f",      "\xff\xfe", "\xc3\xa4", "\xe2\x80\xae", "../..",
      "/",       "/dev/zero", "/dev/null", ".",        "e.toml",   "\"",           "'",
      "\\",      "\n",        "\r",        "\t",       "#",        "%s%n",         "[",
      "]]"};
  if (d.one_in(12)) return std::string(size_t{1} << d.below(18), "ab.=[\"\xff"[d.below(7)]);
  return d.of(words);
}

int64_t whole(Dice& d) {
  static const std::vector<int64_t> some{
      0,         1,         -1,     2, 3, 255, 65536, 2147483647, 2147483648, -2147483649LL, int64_t{1} << 53,
      INT64_MAX, INT64_MIN, 1000000};
  return d.of(some);
}

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' || c == '+';
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    out.back() += c;
    if (c == '\n') out.emplace_back();
  }
  if (out.back().empty()) out.pop_back();
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& l : lines) out += l;
  return out;
}

void little(std::string& bytes, size_t at, uint64_t value, int n) {
  for (int i = 0; i < n && at + static_cast<size_t>(i) < bytes.size(); ++i)
    bytes[at + static_cast<size_t>(i)] = static_cast<char>(value >> (8 * i));
}

uint64_t little_at(const std::string& bytes, size_t at, int n) {
  uint64_t out = 0;
  for (int i = 0; i < n && at + static_cast<size_t>(i) < bytes.size(); ++i)
    out |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at + static_cast<size_t>(i)])) << (8 * i);
  return out;
}

std::string big(uint32_t x) {
  return {static_cast<char>(x >> 24), static_cast<char>(x >> 16), static_cast<char>(x >> 8),
          static_cast<char>(x)};
}

// A node of the tree, by the way down to it.
Json* some_node(Json& root, Dice& d) {
  Json* at = &root;
  while ((at->is_object() || at->is_array()) && !at->empty() && !d.one_in(6)) {
    auto it = at->begin();
    std::advance(it, static_cast<std::ptrdiff_t>(d.below(at->size())));
    at = &*it;
  }
  return at;
}

void damage(Json& root, Dice& d) {
  Json& node = *some_node(root, d);
  switch (d.below(10)) {
    case 0:
      node = Json();
      break;
    case 1:
      node = whole(d);
      break;
    case 2:
      node = std::vector<double>{0, 0.5, -1, 1e300, 59992.5, 1e-300}[d.below(6)];
      break;
    case 3:
      node = d.one_in(2);
      break;
    case 4:
      node = Json::array();
      break;
    case 5:
      node = Json::object();
      break;
    case 6:
      node = "word";
      break;
    case 7:
      if (node.is_object() && !node.empty()) {
        auto it = node.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(d.below(node.size())));
        node.erase(it.key());
      } else if (node.is_array() && !node.empty()) {
        node.erase(d.below(node.size()));
      }
      break;
    case 8:
      if (node.is_array() && !node.empty())
        for (size_t k = size_t{1} << d.below(12); k > 0; --k) node.push_back(node[0]);
      break;
    default: {
      Json inner = node;
      for (size_t k = d.below(40); k > 0; --k) inner = Json::array({inner});
      node = inner;
    }
  }
}

std::string dumped(const Json& tree) {
  return tree.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string mutate_bytes(std::string s, Dice& d) {
  for (size_t times = 1 + d.below(4); times > 0; --times) {
    const size_t at = d.below(s.size() + 1), n = d.below(std::min<size_t>(s.size() - at, 64) + 1);
    switch (d.below(7)) {
      case 0:
        if (at < s.size()) s[at] = static_cast<char>(s[at] ^ (1 << d.below(8)));
        break;
      case 1:
        if (at < s.size()) s[at] = static_cast<char>(d.next());
        break;
      case 2:
        s.erase(at, n);
        break;
      case 3:
        s.insert(at, s.substr(at, n));
        break;
      case 4:
        s.resize(at);
        break;
      case 5:
        little(s, at, static_cast<uint64_t>(whole(d)), 1 << d.below(4));
        break;
      default:
        s.insert(at, std::string(1 + d.below(16), static_cast<char>(d.next())));
    }
  }
  return s;
}

std::string mutate_text(std::string s, Dice& d) {
  for (size_t times = 1 + d.below(3); times > 0; --times) {
    auto lines = lines_of(s);
    if (lines.empty()) return string_word(d);
    const size_t which = d.below(lines.size());
    switch (d.below(10)) {
      case 0:
        lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      case 1:
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(which), lines[d.below(lines.size())]);
        break;
      case 2:
        std::swap(lines[which], lines[d.below(lines.size())]);
        break;
      case 3: {  // a dotted key, a deep list, a deep table
        const size_t deep = size_t{1} << d.below(17);
        std::string word;
        const char* piece = std::vector<const char*>{"a.", "[", "{a=", "\"a\" . ", "[["}[d.below(5)];
        for (size_t k = 0; k < deep; ++k) word += piece;
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(which), word + "b = 1\n");
        break;
      }
      default: {  // a token
        std::string& l = lines[which];
        size_t begin = d.below(l.size());
        while (begin > 0 && in_word(l[begin - 1])) --begin;
        size_t end = begin;
        while (end < l.size() && in_word(l[end])) ++end;
        if (end == begin && end < l.size()) ++end;
        const std::string now = l.substr(begin, end - begin);
        const bool number =
            !now.empty() && (std::isdigit(static_cast<unsigned char>(now[0])) || now[0] == '-');
        l.replace(begin, end - begin, number && !d.one_in(4) ? number_word(d) : string_word(d));
      }
    }
    s = joined(lines);
  }
  return s;
}

std::string mutate_json(const std::string& s, Dice& d) {
  if (d.one_in(40)) {  // deeper than a stack
    const size_t deep = 1000 + d.below(400000);
    return (d.one_in(2) ? std::string(deep, '[') : std::string("{\"a\":") + std::string(deep, '[')) + "\n";
  }
  if (d.one_in(8)) return mutate_text(s, d);
  Json tree = Json::parse(s, nullptr, false);
  if (!tree.is_discarded()) {
    for (size_t times = 1 + d.below(3); times > 0; --times) damage(tree, d);
    return dumped(tree);
  }
  auto lines = lines_of(s);
  if (lines.empty()) return s;
  std::string& line = d.of(lines).empty() ? lines[0] : lines[d.below(lines.size())];
  Json row = Json::parse(line, nullptr, false);
  if (row.is_discarded()) return mutate_text(s, d);
  damage(row, d);
  line = dumped(row) + "\n";
  return joined(lines);
}

std::string mutate_safetensors(const std::string& s, Dice& d) {
  const uint64_t length = little_at(s, 0, 8);
  if (s.size() < 8 || length > s.size() - 8 || d.one_in(12)) return mutate_bytes(s, d);
  Json header = Json::parse(s.substr(8, length), nullptr, false);
  std::string data = s.substr(8 + length);
  if (!header.is_object() || header.empty()) return mutate_bytes(s, d);
  std::vector<std::string> names;
  for (const auto& [name, entry] : header.items())
    if (name != "__metadata__") names.push_back(name);
  for (size_t times = 1 + d.below(2); times > 0 && !names.empty(); --times) {
    const std::string name = d.of(names), other = d.of(names);
    Json& entry = header[name];
    switch (d.below(9)) {
      case 0:
        header.erase(name);
        break;
      case 1:
        std::swap(header[name], header[other]);
        break;
      case 2:
        header[name] = header[other];
        break;  // upon each other
      case 3: {
        header[name + string_word(d)] = entry;
        header.erase(name);
        break;
      }
      case 4:
        if (entry.is_object())
          entry["dtype"] =
              std::vector<const char*>{"F32", "F64", "I64", "I32", "U8", "BOOL", "F16", "x"}[d.below(8)];
        break;
      case 5: {  // the same bytes in another shape
        if (!entry.is_object() || !entry["shape"].is_array()) break;
        auto& shape = entry["shape"];
        if (d.one_in(2) || shape.empty())
          shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(d.below(shape.size() + 1)), 1);
        else
          std::reverse(shape.begin(), shape.end());
        break;
      }
      case 6:
        damage(entry, d);
        break;
      default: {  // numbers
        if (!entry.is_object() || !entry.contains("data_offsets") || !entry["data_offsets"].is_array()) break;
        if (entry["data_offsets"].size() != 2 || !entry["data_offsets"][0].is_number_unsigned()) break;
        const auto begin = entry["data_offsets"][0].get<size_t>();
        const bool typed = entry.contains("dtype") && entry["dtype"].is_string();
        const std::string type = typed ? entry["dtype"].get<std::string>() : "";
        const size_t bytes = type == "F32" || type == "I32" ? 4 : type == "U8" || type == "BOOL" ? 1 : 8;
        const auto end =
            entry["data_offsets"][1].is_number_unsigned() ? entry["data_offsets"][1].get<size_t>() : begin;
        if (end <= begin || end > data.size()) break;
        const size_t at = begin + d.below((end - begin) / bytes) * bytes;
        uint64_t value = static_cast<uint64_t>(whole(d));
        if (type == "F32") {
          const float f =
              std::vector<float>{0, -1, 1e38f, HUGE_VALF, -HUGE_VALF, std::nanf(""), 1e-40f}[d.below(7)];
          uint32_t bits = 0;
          std::memcpy(&bits, &f, 4);
          value = bits;
        } else if (type == "F64") {
          const double f =
              std::vector<double>{0, -1, 1e300, HUGE_VAL, -HUGE_VAL, std::nan(""), 1e19}[d.below(7)];
          std::memcpy(&value, &f, 8);
        }
        little(data, at, value, static_cast<int>(bytes));
      }
    }
  }
  const std::string text = dumped(header);
  std::string out(8, '\0');
  little(out, 0, text.size(), 8);
  return out + text + data;
}

std::string mutate_png(const std::string& s, Dice& d) {
  if (s.size() < 33 || d.one_in(10)) return mutate_bytes(s, d);
  struct Chunk {
    std::string kind, data;
  };
  std::vector<Chunk> chunks;
  for (size_t at = 8; at + 12 <= s.size();) {
    uint32_t n = 0;
    for (size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<uint8_t>(s[at + i]);
    if (n > s.size() - at - 12) break;
    chunks.push_back({s.substr(at + 4, 4), s.substr(at + 8, n)});
    at += 12 + n;
  }
  if (chunks.empty()) return mutate_bytes(s, d);
  const size_t which = d.below(chunks.size());
  switch (d.below(6)) {
    case 0:
      chunks.erase(chunks.begin() + static_cast<std::ptrdiff_t>(which));
      break;
    case 1:
      chunks.insert(chunks.begin() + static_cast<std::ptrdiff_t>(which), d.of(chunks));
      break;
    case 2:
      if (!chunks[0].data.empty())
        chunks[0].data.replace(4 * d.below(2), 4, big(static_cast<uint32_t>(whole(d))));
      break;
    case 3:
      if (chunks[0].data.size() > 9) chunks[0].data[8 + d.below(5)] = static_cast<char>(d.below(20));
      break;
    case 4:
      chunks[which].kind =
          std::vector<std::string>{"PLTE", "tRNS", "IDAT", "gAMA", "zTXt", "abcd"}[d.below(6)];
      break;
    default:
      chunks[which].data = mutate_bytes(chunks[which].data, d);
  }
  std::string out = s.substr(0, 8);
  for (const auto& c : chunks) {
    const std::string body = c.kind + c.data;
    out += big(static_cast<uint32_t>(c.data.size())) + body +
           big(static_cast<uint32_t>(
               ::crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()))));
  }
  return out;
}

std::string gzipped(const std::string& text) {
  z_stream z{};
  if (::deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) return "";
  std::string out(::deflateBound(&z, static_cast<uLong>(text.size())) + 32, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  ::deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  ::deflateEnd(&z);
  return out;
}

std::string gunzipped(const std::string& bytes) {
  z_stream z{};
  if (::inflateInit2(&z, 31) != Z_OK) return "";
  std::string out(1 << 20, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int end = ::inflate(&z, Z_FINISH);
  out.resize(end == Z_STREAM_END ? z.total_out : 0);
  ::inflateEnd(&z);
  return out;
}

std::string mutate_gzip(const std::string& s, Dice& d) {
  const std::string text = gunzipped(s);
  switch (d.below(6)) {
    case 0:
      return mutate_bytes(s, d);
    case 1:
      return s + (d.one_in(2) ? s : mutate_bytes(s, d));  // members one after another
    case 2:
      return s.substr(0, d.below(s.size() + 1));
    case 3: {  // small here, large there
      std::string line = "1,2,3\n", many;
      if (d.one_in(20))
        for (size_t k = 0; k < (size_t{1} << (12 + d.below(10))); ++k) many += line;
      return gzipped(text + many);
    }
    default:
      return gzipped(mutate_text(text, d));
  }
}

std::string mutate_zip(const std::string& s, Dice& d) {
  // Headers: local PK\3\4 (name at 30), central PK\1\2 (name at 46), end PK\5\6.
  std::vector<size_t> headers;
  for (size_t at = s.find("PK"); at != std::string::npos; at = s.find("PK", at + 2))
    if (at + 30 < s.size() && (s[at + 2] == 1 || s[at + 2] == 3 || s[at + 2] == 5)) headers.push_back(at);
  if (headers.empty() || d.one_in(8)) return mutate_bytes(s, d);
  std::string out = s;
  const size_t at = d.of(headers);
  switch (d.below(6)) {
    case 0:
      little(out, at + 18 + 4 * d.below(2), static_cast<uint64_t>(whole(d)), 4);
      break;  // sizes
    case 1:
      little(out, at + 8, d.below(16), 2);
      break;  // method
    case 2:
      little(out, at + 14, d.next(), 4);
      break;  // CRC
    case 3:
      little(out, at + 26, static_cast<uint64_t>(whole(d)), 2);
      break;   // length of the name
    case 4: {  // the name, in its length
      const size_t from = at + (s[at + 2] == 1 ? 46 : 30),
                   n = little_at(s, at + (s[at + 2] == 1 ? 28 : 26), 2);
      const std::string word = string_word(d);
      for (size_t i = 0; i < std::min(n, word.size()) && from + i < out.size(); ++i) out[from + i] = word[i];
      break;
    }
    default: {  // what an entry holds
      const size_t png = s.find("\x89PNG", d.below(s.size()));
      if (png == std::string::npos) return mutate_bytes(s, d);
      const std::string inner = mutate_png(s.substr(png, 120), d);
      for (size_t i = 0; i < inner.size() && png + i < out.size() && i < 120; ++i) out[png + i] = inner[i];
    }
  }
  return out;
}

std::string mutate(const std::string& name, const std::string& bytes, Dice& d) {
  const auto is = [&](const char* ending) { return name.ends_with(ending); };
  if (is(".gz")) return mutate_gzip(bytes, d);
  if (is(".zip")) return mutate_zip(bytes, d);
  if (is(".png")) return mutate_png(bytes, d);
  if (is(".safetensors")) return mutate_safetensors(bytes, d);
  if (is(".json") || is(".jsonl")) return mutate_json(bytes, d);
  return d.one_in(10) ? mutate_bytes(bytes, d) : mutate_text(bytes, d);
}

}  // namespace fuzz
