// A TorchScript file from C++ with libtorch, here the one of the installed torch wheel.
//
// examples/cpp/build classify
// ./classify RUN/exports/torchscript/model.pt image.ppm    (magick photo.jpg -auto-orient image.ppm)

#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

// The file's own metadata are JSON of a known form; a program that has a JSON library uses that.
std::string value_of(const std::string& json, const std::string& key) {
  const std::regex pattern("\"" + key + "\": (\"[^\"]*\"|\\[[^\\]]*\\]|[^,}]*)");
  std::smatch found;
  if (!std::regex_search(json, found, pattern)) throw std::runtime_error("no " + key);
  return found[1];
}

std::vector<double> numbers_of(const std::string& json, const std::string& key) {
  std::string text = value_of(json, key);
  for (char& each : text)
    if (each == '[' || each == ']' || each == ',') each = ' ';
  std::istringstream stream(text);
  std::vector<double> values;
  for (double value; stream >> value;) values.push_back(value);
  return values;
}

// A binary PPM file (Netpbm P6, 8 bits): (1, 3, H, W) uint8, RGB.
torch::Tensor read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int64_t width = 0, height = 0, largest = 0;
  file >> magic >> width >> height >> largest;
  file.get();  // one white space before the pixels
  if (!file || magic != "P6" || largest != 255) throw std::runtime_error(path + ": no 8 bit P6");
  auto pixels = torch::empty({height, width, 3}, torch::kUInt8);
  if (!file.read(reinterpret_cast<char*>(pixels.data_ptr()), pixels.numel()))
    throw std::runtime_error(path + " is cut off");
  return pixels.permute({2, 0, 1}).unsqueeze(0);
}

torch::Tensor preprocess(torch::Tensor picture, const std::string& rule) {
  const auto size = static_cast<int64_t>(numbers_of(rule, "image_size")[0]);
  const bool bicubic = value_of(rule, "interpolation") == "\"bicubic\"";
  const auto resample = [&](int64_t height, int64_t width) {
    const std::vector<int64_t> to{height, width};  // antialiased on uint8, as Pillow does it
    picture = bicubic ? at::_upsample_bicubic2d_aa(picture, to, false)
                      : at::_upsample_bilinear2d_aa(picture, to, false);
  };
  // One axis after the other, which rounds in between, in the order of Pillow 13.
  const auto resize = [&](int64_t height, int64_t width) {
    const int64_t rows = picture.size(2), columns = picture.size(3);
    const bool rows_first = rows - height > std::max<int64_t>(2 * (columns - width), 0);
    rows_first ? resample(height, columns) : resample(rows, width);
    resample(height, width);
  };
  if (value_of(rule, "resize") == "\"squash\"") {
    resize(size, size);
  } else {  // a very long picture without its ends, the shorter side to its size, the middle
    const auto to = std::llround(size / numbers_of(rule, "crop_share")[0]);
    const int64_t shorter = std::min(picture.size(2), picture.size(3));
    for (const int64_t axis : {2, 3}) {
      const int64_t beyond = std::max<int64_t>(picture.size(axis) - 32 * shorter, 0);
      const int64_t end = beyond / (4 * shorter) * (2 * shorter);
      picture = picture.narrow(axis, end, picture.size(axis) - 2 * end);
    }
    resize(to * picture.size(2) / shorter, to * picture.size(3) / shorter);
    const auto top = static_cast<int64_t>(std::nearbyint((picture.size(2) - size) / 2.0));
    const auto left = static_cast<int64_t>(std::nearbyint((picture.size(3) - size) / 2.0));
    picture = picture.narrow(2, top, size).narrow(3, left, size);
  }
  const auto column = [&](const std::string& key) {
    return torch::tensor(numbers_of(rule, key), torch::kFloat32).view({1, 3, 1, 1});
  };
  const auto scaled = picture.to(torch::kFloat32) * numbers_of(rule, "scale")[0];
  return ((scaled - column("mean")) / column("std")).contiguous();
}

int main(int argc, char** argv) try {
  if (argc < 3) throw std::runtime_error("usage: classify MODEL IMAGE.ppm...");
  torch::jit::ExtraFilesMap extra{{"lightship.json", ""}};
  auto model = torch::jit::load(argv[1], torch::kCPU, extra);
  const std::string metadata = extra.at("lightship.json");
  torch::InferenceMode guard;
  for (int number = 2; number < argc; ++number) {
    const auto images = preprocess(read_ppm(argv[number]), metadata);
    const auto probabilities = model.forward({images}).toTensor().to(torch::kFloat64).softmax(1)[0];
    std::cout << probabilities.argmax().item<int64_t>();
    for (int64_t index = 0; index < probabilities.size(0); ++index)
      std::cout << ' ' << std::setprecision(9) << probabilities[index].item<double>();
    std::cout << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
