// What becomes of the objects that are made for cameras. Ends when standard input does.
#include <sdvr.hpp>

#include <limits>
#include <string>

static void say(const std::string& text) { std::cout << text + "\n" << std::flush; }

/// Throws at the first frame of a camera that is called so.
class Raw : public sdvr::Output {
  public:
    static constexpr sdvr::Policy policy = sdvr::Policy::every;
    explicit Raw(const sdvr::CameraInfo& camera) : label_(camera.label) { say("made for " + label_); }
    ~Raw() override { say("gone for " + label_); }
    void process(const sdvr::Frame& frame) override {
        if (label_ == "throws") {
            throw std::runtime_error("on purpose");
        }
        if (!said_) {
            say("frame of " + std::string(frame.label()) + ", " + std::to_string(frame.bytes().size()) + " bytes");
        }
        said_ = true;
    }

  private:
    std::string label_;
    bool said_ = false;
};

class Decoded : public sdvr::DecodedOutput {
  public:
    static constexpr sdvr::Pixels pixels = sdvr::Pixels::rgb;
    void process(const sdvr::Picture& picture) override {
        if (!said_) {
            say("picture of " + std::string(picture.frame().label()) + ", " + std::to_string(picture.width()) + "x" +
                std::to_string(picture.height()) + ", " + std::to_string(picture.plane(0).row_bytes) + " bytes a row");
        }
        said_ = true;
    }

  private:
    bool said_ = false;
};

template class sdvr::Outputs<Raw>;
template class sdvr::Outputs<Decoded>;

int main() {
    const auto report = [](const std::string& label, const std::string& what) { say(label + " threw: " + what); };
    const sdvr::Outputs<Raw> raw({}, report);
    const sdvr::Outputs<Decoded> decoded({}, report);
    std::cin.ignore(std::numeric_limits<std::streamsize>::max());
}
