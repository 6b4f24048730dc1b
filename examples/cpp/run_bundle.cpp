// Run a model's rollout.onnx from C++: 25 steps from rest, batch 1.
//
//     g++ -std=c++17 -O2 run_bundle.cpp -I$ORT/include -L$ORT/lib -lonnxruntime -o run_bundle
//     ./run_bundle model/rollout.onnx
//
// $ORT is a release of ONNX Runtime (https://github.com/microsoft/onnxruntime/releases), 1.20 or
// later. Sizes come from the file; names, units and limits are in its metadata and in io.yaml.

#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

constexpr std::int64_t kHorizon = 25;

std::vector<std::int64_t> shape_of(const Ort::Session& session, std::size_t input) {
  return session.GetInputTypeInfo(input).GetTensorTypeAndShapeInfo().GetShape();
}

struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;

  explicit Tensor(std::vector<std::int64_t> sizes) : shape(std::move(sizes)) {
    std::size_t count = 1;
    for (auto size : shape) count *= static_cast<std::size_t>(size);
    values.assign(count, 0.0f);
  }

  Ort::Value view(const Ort::MemoryInfo& memory) {
    return Ort::Value::CreateTensor<float>(memory, values.data(), values.size(), shape.data(),
                                           shape.size());
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s rollout.onnx\n", argv[0]);
    return 2;
  }
  try {
    Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "kinemill");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    Ort::Session session(env, argv[1], options);

    // states (B, H, S), past_actions (B, H-1, A), actions (B, T, A): the first acts from now on.
    const auto known = shape_of(session, 0), acted = shape_of(session, 1);
    Tensor states({1, known[1], known[2]});
    Tensor past({1, acted[1], acted[2]});
    Tensor actions({1, kHorizon, acted[2]});

    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::array<Ort::Value, 3> inputs{states.view(memory), past.view(memory), actions.view(memory)};
    const std::array<const char*, 3> names{"states", "past_actions", "actions"};
    const std::array<const char*, 1> wanted{"next_states"};
    const auto found = session.Run(Ort::RunOptions{nullptr}, names.data(), inputs.data(),
                                   inputs.size(), wanted.data(), wanted.size());

    const float* next = found[0].GetTensorData<float>();  // (1, T, S)
    for (std::int64_t i = 0; i < known[2]; ++i)
      std::printf("state[%lld] after %lld steps: %.6g\n", static_cast<long long>(i),
                  static_cast<long long>(kHorizon), next[(kHorizon - 1) * known[2] + i]);
  } catch (const Ort::Exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
