// Does something for every camera that comes: prints how bright its pictures are, until standard input ends.
#include "example.hpp"

#include <numeric>

/// One for each camera, on a thread of its own, from when the camera comes until it goes.
class Brightness : public sdvr::DecodedOutput {
  public:
    static constexpr sdvr::Pixels pixels = sdvr::Pixels::gray;

    explicit Brightness(const sdvr::CameraInfo& camera) : label_(camera.label) { std::cout << label_ + " came\n" << std::flush; }
    ~Brightness() override { std::cout << label_ + " went\n" << std::flush; }

    void process(const sdvr::Picture& picture) override {
        const std::uint64_t sum = std::accumulate(picture.bytes().begin(), picture.bytes().end(), std::uint64_t{0});
        // One text, so that lines of different threads do not mix.
        std::cout << label_ + ": frame " + std::to_string(picture.number()) + ", brightness " +
                         std::to_string(sum / std::max<std::uint64_t>(picture.bytes().size(), 1)) + "\n"
                  << std::flush;
    }

  private:
    std::string label_;
};

template class sdvr::Outputs<Brightness>;

int main(int argc, char** argv) {
    return run_example(argc, argv, 0, "", [](const Arguments&) {
        const sdvr::Outputs<Brightness> outputs;
        std::cin.ignore(std::numeric_limits<std::streamsize>::max());
    });
}
