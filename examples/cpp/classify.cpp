// A TorchScript file from C++ with libtorch, here the one of the installed torch wheel.
//
// examples/cpp/build classify
// ./classify RUN/exports/torchscript/model.pt image.ppm    (magick photo.jpg -auto-orient image.ppm)

#include <ATen/Parallel.h>
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <limits>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

constexpr int64_t kMostPixels = 178956970;  // of an image, as predict.py of a bundle has it

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

// The next number in the head of a Netpbm file, where lines of comments may be between the numbers.
int64_t header_number(std::istream& file) {
  while ((file >> std::ws) && file.peek() == '#')
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  int64_t number = 0;
  file >> number;
  return number;
}

// A binary PPM file (Netpbm P6, 8 bits): (1, 3, H, W) uint8, RGB.
torch::Tensor read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  file >> magic;
  const int64_t width = header_number(file), height = header_number(file);
  const int64_t largest = header_number(file);
  file.get();  // one white space before the pixels
  if (!file || magic != "P6" || largest != 255) throw std::runtime_error(path + ": no 8 bit P6");
  if (width < 1 || height < 1 || width > kMostPixels / height)
    throw std::runtime_error(path + ": no pixels, or more than " + std::to_string(kMostPixels));
  auto pixels = torch::empty({height, width, 3}, torch::kUInt8);
  if (!file.read(reinterpret_cast<char*>(pixels.data_ptr()), pixels.numel()))
    throw std::runtime_error(path + " is cut off");
  return pixels.permute({2, 0, 1}).unsqueeze(0);
}

// Pillow's filters, as functions of the distance in pixels of the smaller image.
double filter_weight(double distance, bool bicubic) {
  const double x = std::abs(distance);
  if (!bicubic) return std::max(1.0 - x, 0.0);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0.0;
}

// One axis of a (1, 3, H, W) uint8 image, antialiased. Pillow sums integers of 22 fractional bits and
// rounds after each axis. torch's own function has fewer bits: some pixels differ by one level.
torch::Tensor resample(const torch::Tensor& picture, int64_t axis, int64_t to, bool bicubic) {
  constexpr int kBits = 22;
  if (picture.size(axis) == to) return picture;
  const auto input = picture.transpose(axis, 3).contiguous();
  const int64_t size = input.size(3), lines = input.numel() / size;
  auto output = torch::empty({1, 3, input.size(2), to}, torch::kUInt8);
  const double step = static_cast<double>(size) / to, scale = std::max(step, 1.0);
  const double support = (bicubic ? 2.0 : 1.0) * scale;
  for (int64_t column = 0; column < to; ++column) {
    const double center = (column + 0.5) * step;
    const auto first = static_cast<int64_t>(std::max(center - support + 0.5, 0.0));
    const auto end = std::min(static_cast<int64_t>(center + support + 0.5), size);
    std::vector<double> weights;
    double sum = 0;
    for (int64_t index = first; index < end; ++index) {
      weights.push_back(filter_weight((index - center + 0.5) / scale, bicubic));
      sum += weights.back();
    }
    std::vector<int64_t> integers;
    for (const double weight : weights)
      integers.push_back(std::llround(weight / sum * (1 << kBits)));
    for (int64_t line = 0; line < lines; ++line) {
      const uint8_t* pixels = input.data_ptr<uint8_t>() + line * size + first;
      int64_t total = 1 << (kBits - 1);
      for (size_t index = 0; index < integers.size(); ++index)
        total += integers[index] * pixels[index];
      const int64_t level = std::clamp<int64_t>(total >> kBits, 0, 255);
      output.data_ptr<uint8_t>()[line * to + column] = static_cast<uint8_t>(level);
    }
  }
  return output.transpose(axis, 3).contiguous();
}

torch::Tensor preprocess(torch::Tensor picture, const std::string& rule) {
  const auto size = static_cast<int64_t>(numbers_of(rule, "image_size")[0]);
  const bool bicubic = value_of(rule, "interpolation") == "\"bicubic\"";
  // One axis after the other, in the order of Pillow 13.
  const auto resize = [&](int64_t height, int64_t width) {
    const int64_t rows = picture.size(2), columns = picture.size(3);
    const bool rows_first = rows - height > std::max<int64_t>(2 * (columns - width), 0);
    if (rows_first) picture = resample(picture, 2, height, bicubic);
    picture = resample(picture, 3, width, bicubic);
    picture = resample(picture, 2, height, bicubic);
  };
  if (value_of(rule, "resize") == "\"squash\"") {
    resize(size, size);
  } else {  // a very long picture without its ends, the shorter side to its size, the middle
    // A half is rounded to even, as Python's round() does.
    const auto to = static_cast<int64_t>(std::nearbyint(size / numbers_of(rule, "crop_share")[0]));
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

// The cores of `cores` that the quota of a container allows. CPU_MAX is the path of its cpu.max.
int usable_cores(int cores) {
  const char* named = std::getenv("CPU_MAX");
  std::ifstream file(named ? named : "/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return cores;  // "max", or no quota
  return static_cast<int>(std::clamp(std::ceil(quota / period), 1.0, std::max(1.0, double(cores))));
}

int main(int argc, char** argv) try {
  if (argc < 3) throw std::runtime_error("usage: classify MODEL IMAGE.ppm...");
  at::set_num_threads(usable_cores(at::get_num_threads()));  // it goes by the cores of the machine
  torch::jit::ExtraFilesMap extra{{"lightship.json", ""}};
  auto model = torch::jit::load(argv[1], torch::kCPU, extra);
  const std::string metadata = extra.at("lightship.json");
  torch::InferenceMode guard;
  for (int number = 2; number < argc; ++number) {
    const auto images = preprocess(read_ppm(argv[number]), metadata);
    const auto probabilities = model.forward({images}).toTensor().to(torch::kFloat64).softmax(1)[0];
    if (!probabilities.isfinite().all().item<bool>())
      throw std::runtime_error(std::string(argv[number]) + ": no finite probabilities");
    std::cout << probabilities.argmax().item<int64_t>();
    for (int64_t index = 0; index < probabilities.size(0); ++index)
      std::cout << ' ' << std::setprecision(9) << probabilities[index].item<double>();
    std::cout << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
