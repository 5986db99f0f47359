#include "symma/tasks/pictures.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <vector>

#include <jpeglib.h>

#include <jerror.h>

#include "symma/core/errors.h"

namespace symma {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 25;

struct Picture {
  int64_t height = 0, width = 0, channels = 0;  // 1 grey, 3 red green blue, 4 and how opaque
  std::vector<uint8_t> bytes;                   // [height, width, channels]
};

// Why the bytes are no image, in words; "" where they are.
using Trouble = std::string;

Trouble too_large(int64_t height, int64_t width) {
  return width * height <= kMostPixels
             ? ""
             : fmt::format("{} x {} pixels, {} at most", width, height, kMostPixels);
}

Trouble read_png(const std::string& bytes, Picture& out) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size())) return image.message;
  // Sixteen bits are taken as finer steps of eight, as all other readers do, and not as linear light.
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  const bool grey = !(image.format & (PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA));
  image.format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_RGBA;
  out = {image.height, image.width, grey ? 1 : 4, {}};
  if (const Trouble why = too_large(out.height, out.width); !why.empty()) {
    png_image_free(&image);
    return why;
  }
  out.bytes.resize(PNG_IMAGE_SIZE(image));
  if (!png_image_finish_read(&image, nullptr, out.bytes.data(), 0, nullptr)) return image.message;
  return "";
}

struct JpegTrouble {
  jpeg_error_mgr manager;
  std::jmp_buf out;
  char words[JMSG_LENGTH_MAX];
};

[[noreturn]] void jpeg_gives_up(j_common_ptr jpeg) {
  auto* trouble = reinterpret_cast<JpegTrouble*>(jpeg->err);
  (*jpeg->err->format_message)(jpeg, trouble->words);
  std::longjmp(trouble->out, 1);
}

// A file that ends early is filled up with grey by libjpeg, and a warning; here it is no image.
void jpeg_warns(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) jpeg_gives_up(jpeg);
}

// Nothing with a destructor lives where longjmp leaves from: `out` is the caller's.
Trouble read_jpeg(const std::string& bytes, Picture& out) {
  jpeg_decompress_struct jpeg;
  JpegTrouble trouble;
  jpeg.err = jpeg_std_error(&trouble.manager);
  trouble.manager.error_exit = jpeg_gives_up;
  trouble.manager.emit_message = jpeg_warns;
  if (setjmp(trouble.out)) {
    jpeg_destroy_decompress(&jpeg);
    return trouble.words;
  }
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = jpeg.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  out.height = jpeg.image_height, out.width = jpeg.image_width;
  out.channels = jpeg.num_components == 1 ? 1 : 3;
  if (out.height * out.width > kMostPixels) {
    jpeg_destroy_decompress(&jpeg);
    return too_large(out.height, out.width);
  }
  out.bytes.resize(out.height * out.width * out.channels);
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    unsigned char* line =
        out.bytes.data() + static_cast<int64_t>(jpeg.output_scanline) * out.width * out.channels;
    jpeg_read_scanlines(&jpeg, &line, 1);
  }
  jpeg_finish_decompress(&jpeg);
  jpeg_destroy_decompress(&jpeg);
  return "";
}

// The picture laid on white, in as many channels as asked for: [height, width, channels].
std::vector<uint8_t> flatten(const Picture& p, int64_t channels) {
  std::vector<uint8_t> out(p.height * p.width * channels);
  const uint8_t* from = p.bytes.data();
  for (uint8_t* to = out.data(); to != out.data() + out.size(); to += channels, from += p.channels) {
    uint32_t rgb[3];
    for (int64_t c = 0; c < 3; ++c) {
      rgb[c] = from[p.channels == 1 ? 0 : c];
      if (p.channels == 4) rgb[c] = (rgb[c] * from[3] + 255u * (255u - from[3]) + 127) / 255;
    }
    if (channels == 3) {
      for (int64_t c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>(rgb[c]);
    } else {
      to[0] = static_cast<uint8_t>(255 - ((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16));
    }
  }
  return out;
}

// How much of each of n old pixels is under each of `side` new ones; a new one's parts sum to 1.
struct Part {
  int64_t from;
  double share;
};
std::vector<std::vector<Part>> parts(int64_t n, int64_t side) {
  std::vector<std::vector<Part>> out(side);
  const double scale = static_cast<double>(n) / static_cast<double>(side);
  for (int64_t i = 0; i < side; ++i) {
    const double low = scale * static_cast<double>(i), high = scale * static_cast<double>(i + 1);
    for (auto j = static_cast<int64_t>(low); j < n && static_cast<double>(j) < high; ++j)
      out[i].push_back(
          {j, (std::min(high, static_cast<double>(j) + 1) - std::max(low, static_cast<double>(j))) / scale});
  }
  return out;
}

// Each new pixel is the mean of what is under it.
Tensor shrink(const std::vector<uint8_t>& image, int64_t height, int64_t width, int64_t channels,
              int64_t side) {
  const auto rows = parts(height, side), columns = parts(width, side);
  Tensor out = at::empty({side, side, channels}, at::kByte);
  uint8_t* to = out.data_ptr<uint8_t>();
  std::vector<double> line(width * channels);
  for (const auto& row : rows) {
    std::fill(line.begin(), line.end(), 0.0);
    for (const Part& r : row) {
      const uint8_t* from = image.data() + r.from * width * channels;
      for (size_t i = 0; i < line.size(); ++i) line[i] += r.share * from[i];
    }
    for (const auto& column : columns) {
      for (int64_t c = 0; c < channels; ++c) {
        double mean = 0;
        for (const Part& x : column) mean += x.share * line[x.from * channels + c];
        *to++ = static_cast<uint8_t>(std::clamp(std::nearbyint(mean), 0.0, 255.0));
      }
    }
  }
  return out;
}

}  // namespace

bool is_picture(const std::filesystem::path& path) {
  std::string ending = path.extension();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return (ending == ".png" || ending == ".jpg" || ending == ".jpeg") &&
         !path.filename().string().starts_with("._");
}

Tensor read_picture(const std::string& bytes, const std::string& place, int64_t side, int64_t channels) {
  Picture picture;
  // By what it is, not by its name: many a .png is a JPEG.
  const bool jpeg = bytes.starts_with("\xFF\xD8\xFF");
  const Trouble why = jpeg ? read_jpeg(bytes, picture) : read_png(bytes, picture);
  if (!why.empty())
    throw UserError(place, fmt::format("is not a readable {} image ({})", jpeg ? "JPEG" : "PNG", why),
                    "replace or remove the file");
  return shrink(flatten(picture, channels), picture.height, picture.width, channels, side);
}

}  // namespace symma
