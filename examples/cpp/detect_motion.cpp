// Prints where pictures differ from those before, a line for each frame that has such places: `frame NUMBER: X,Y WxH …`.
//
// The picture is divided into cells of 16 x 16 pixels. A cell moves when its pixels differ by more than 12 of 255 on average; cells that move and touch at an edge
// make a box, and boxes of one cell are noise.
#include "example.hpp"

#include <algorithm>
#include <tuple>

constexpr std::uint32_t cell_pixels = 16;
constexpr std::uint32_t threshold = 12;
constexpr std::uint32_t least_cells = 2;

struct Box {
    std::uint32_t left, top, right, bottom, cells;
};

/// Which cells of a picture move.
class Cells {
  public:
    Cells(const sdvr::Picture& now, const sdvr::Picture& before)
        : columns_((now.width() + cell_pixels - 1) / cell_pixels), rows_((now.height() + cell_pixels - 1) / cell_pixels),
          moving_(std::size_t(columns_) * rows_) {
        for (std::uint32_t row = 0; row < rows_; ++row) {
            for (std::uint32_t column = 0; column < columns_; ++column) {
                moving_[std::size_t(row) * columns_ + column] = moves(now, before, column, row);
            }
        }
    }

    /// The boxes, from top to bottom.
    std::vector<Box> take_boxes() {
        std::vector<Box> boxes;
        for (std::uint32_t at = 0; at < moving_.size(); ++at) {
            if (moving_[at]) {
                const Box box = take_box(at);
                if (box.cells >= least_cells) {
                    boxes.push_back(box);
                }
            }
        }
        std::sort(boxes.begin(), boxes.end(),
                  [](const Box& a, const Box& b) { return std::tie(a.top, a.left) < std::tie(b.top, b.left); });
        return boxes;
    }

  private:
    /// Cells at the edges have fewer pixels.
    static bool moves(const sdvr::Picture& now, const sdvr::Picture& before, std::uint32_t column, std::uint32_t row) {
        const std::uint32_t left = column * cell_pixels, right = std::min(left + cell_pixels, now.width());
        const std::uint32_t top = row * cell_pixels, bottom = std::min(top + cell_pixels, now.height());
        std::uint32_t sum = 0;
        for (std::uint32_t y = top; y < bottom; ++y) {
            for (std::uint32_t x = left; x < right; ++x) {
                const std::size_t at = std::size_t(y) * now.width() + x;
                sum += static_cast<std::uint32_t>(std::abs(now.bytes()[at] - before.bytes()[at]));
            }
        }
        return sum > threshold * (right - left) * (bottom - top);
    }

    /// Takes out all cells that belong together with one.
    Box take_box(std::uint32_t first) {
        Box box{first % columns_, first / columns_, first % columns_, first / columns_, 0};
        std::vector<std::uint32_t> stack;
        const auto take = [&](std::uint32_t at) {
            if (moving_[at]) {
                moving_[at] = false;
                stack.push_back(at);
            }
        };
        take(first);
        while (!stack.empty()) {
            const std::uint32_t at = stack.back(), x = at % columns_, y = at / columns_;
            stack.pop_back();
            box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x), std::max(box.bottom, y), box.cells + 1};
            take(x > 0 ? at - 1 : at);
            take(x + 1 < columns_ ? at + 1 : at);
            take(y > 0 ? at - columns_ : at);
            take(y + 1 < rows_ ? at + columns_ : at);
        }
        return box;
    }

    std::uint32_t columns_, rows_;
    std::vector<bool> moving_;
};

static void print_motion(const sdvr::Picture& now, const sdvr::Picture& before) {
    const std::vector<Box> boxes = Cells(now, before).take_boxes();
    if (boxes.empty()) {
        return;
    }
    std::cout << "frame " << now.number() << ':';
    for (const Box& box : boxes) {
        const std::uint32_t x = box.left * cell_pixels, y = box.top * cell_pixels;
        std::cout << ' ' << x << ',' << y << ' ' << std::min((box.right + 1) * cell_pixels, now.width()) - x << 'x'
                  << std::min((box.bottom + 1) * cell_pixels, now.height()) - y;
    }
    std::cout << std::endl;
}

int main(int argc, char** argv) {
    return run_example(argc, argv, 1, "CAMERA [--count N]", [](const Arguments& arguments) {
        sdvr::Camera camera = sdvr::Camera::open(arguments.words[0]);
        // The newest picture and the one before, which change places.
        sdvr::Picture picture, before;
        for (std::uint64_t i = 0; i < arguments.count;) {
            try {
                camera.next_picture_into(sdvr::Policy::every, sdvr::Pixels::gray, sdvr::forever, picture);
            } catch (const sdvr::Ended&) {
                break;
            } catch (const sdvr::Undecodable& error) {
                std::cerr << error.what() << '\n';
                continue;
            }
            if (picture.width() == before.width() && picture.height() == before.height()) {
                print_motion(picture, before);
            }
            std::swap(picture, before);
            ++i;
        }
    });
}
