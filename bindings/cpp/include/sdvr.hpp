// Read the frames of every camera that an SDVR daemon on this host receives, from C++17.
//
//     sdvr::Camera camera = sdvr::Camera::open("front-door");
//     for (const sdvr::Frame& frame : camera.frames(sdvr::Policy::latest)) {
//         std::cout << frame.number() << ": " << frame.bytes().size() << " bytes\n";
//     }
//
// Objects own what they stand for, can be moved, and are for one thread at a time. What goes wrong is thrown as a sdvr::Error; that nothing came in time is
// no error. Everything here stands on sdvr.h, which says more of each call.
#ifndef SDVR_HPP
#define SDVR_HPP

#include <sdvr.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sdvr {

using Milliseconds = std::chrono::milliseconds;
using Nanoseconds = std::chrono::nanoseconds;

/// A timeout that never passes.
inline constexpr Milliseconds forever = Milliseconds::max();

/// Which frames are wanted. See sdvr_policy.
enum class Policy : std::uint32_t { latest = SDVR_LATEST, every = SDVR_EVERY, key_frames = SDVR_KEY_FRAMES };

/// Where reading begins when a camera is opened that streams already. See sdvr_start.
enum class Start : std::uint32_t { now = SDVR_NOW, oldest = SDVR_OLDEST };

/// What is wanted of a picture. See sdvr_pixels.
enum class Pixels : std::uint32_t {
    rgb = SDVR_RGB,
    bgr = SDVR_BGR,
    rgba = SDVR_RGBA,
    gray = SDVR_GRAY,
    planes = SDVR_PLANES
};

/// How a stream is doing. See sdvr_state.
enum class State { live = SDVR_LIVE, stale = SDVR_STALE, lost = SDVR_LOST, closed = SDVR_CLOSED, moved = SDVR_MOVED };

using Status = sdvr_status;
using Layout = sdvr_layout;

/// What went wrong, with what to do in what().
class Error : public std::runtime_error {
  public:
    Error(Status status, const std::string& text) : std::runtime_error(text), status_(status) {}
    /// Which kind of error it is.
    Status status() const noexcept { return status_; }

  private:
    Status status_;
};

/// No camera of that name is there; what() names those that are.
struct NotFound : Error {
    using Error::Error;
};
/// The camera said that it ends. Asking again waits for it to come back.
struct Ended : Error {
    using Error::Error;
};
/// A frame gave no picture. Asking again goes on behind it.
struct Undecodable : Error {
    using Error::Error;
};
/// The label is a camera's, or another program publishes under it.
struct Taken : Error {
    using Error::Error;
};

namespace detail {

/// Throws unless the status is SDVR_OK.
inline void check(Status status) {
    if (status == SDVR_OK) {
        return;
    }
    const std::string text = sdvr_last_error();
    switch (status) {
    case SDVR_NOT_FOUND:
        throw NotFound(status, text);
    case SDVR_ENDED:
        throw Ended(status, text);
    case SDVR_UNDECODABLE:
        throw Undecodable(status, text);
    case SDVR_TAKEN:
        throw Taken(status, text);
    default:
        throw Error(status, text);
    }
}

/// Whether something came; throws for all but a timeout.
inline bool has_come(Status status) {
    if (status == SDVR_TIMEOUT) {
        return false;
    }
    check(status);
    return true;
}

inline std::uint32_t milliseconds(Milliseconds timeout) noexcept {
    if (timeout.count() < 0) {
        return 0;
    }
    return timeout.count() < static_cast<std::int64_t>(SDVR_FOREVER) ? static_cast<std::uint32_t>(timeout.count()) : SDVR_FOREVER;
}

/// Owns a handle of sdvr.h.
template <class T, Status (*give_back)(T*)>
struct GiveBack {
    void operator()(T* handle) const noexcept { give_back(handle); }
};
template <class T, Status (*give_back)(T*)>
using Handle = std::unique_ptr<T, GiveBack<T, give_back>>;

} // namespace detail

/// Bytes that somebody else owns.
class Bytes {
  public:
    Bytes() = default;
    Bytes(const std::uint8_t* data, std::size_t size) noexcept : data_(data), size_(size) {}
    const std::uint8_t* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const std::uint8_t* begin() const noexcept { return data_; }
    const std::uint8_t* end() const noexcept { return data_ + size_; }
    std::uint8_t operator[](std::size_t index) const noexcept { return data_[index]; }

  private:
    const std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

/// What a frame's bytes are.
class Format {
  public:
    Format(const sdvr_format& format) noexcept : raw_(format) {}
    /// Pictures of so many pixels, in the pixel or bitstream format that V4L2 calls so, at so many frames a second; 0 for no fixed rate.
    Format(std::string_view name, std::uint32_t width, std::uint32_t height, std::uint32_t frames_per_second = 0) {
        raw_.rate_numerator = frames_per_second;
        raw_.rate_denominator = 1;
        *this = with(name, width, height);
    }
    /// Another format and size, at the same rate.
    Format with(std::string_view name, std::uint32_t width, std::uint32_t height) const {
        sdvr_format format = raw_;
        if (name.size() >= sizeof format.name) {
            throw Error(SDVR_INVALID_ARGUMENT, "a format's name has four characters");
        }
        format.name[name.copy(format.name, name.size())] = '\0';
        format.width = width;
        format.height = height;
        return format;
    }
    /// Such as "MJPG", "H264" or "GREY".
    std::string_view name() const noexcept { return raw_.name; }
    std::uint32_t width() const noexcept { return raw_.width; }
    std::uint32_t height() const noexcept { return raw_.height; }
    /// Frames a second; 0 without a fixed rate.
    double rate() const noexcept { return raw_.rate_denominator == 0 ? 0.0 : double(raw_.rate_numerator) / raw_.rate_denominator; }
    const sdvr_format& raw() const noexcept { return raw_; }

  private:
    sdvr_format raw_{};
};

/// What is known of a frame beside its bytes.
class FrameInfo {
  public:
    FrameInfo() = default;
    /// The number its source gave it: one more for every frame captured.
    std::uint64_t number() const noexcept { return raw_.number; }
    /// When it was captured, on this host's CLOCK_BOOTTIME.
    Nanoseconds captured() const noexcept { return Nanoseconds(raw_.captured_ns); }
    /// By how much captured() may be wrong; nothing while the camera's clock is not known.
    std::optional<Nanoseconds> clock_error() const noexcept {
        if (raw_.clock_error_ns == SDVR_CLOCK_UNKNOWN) {
            return std::nullopt;
        }
        return Nanoseconds(static_cast<std::int64_t>(raw_.clock_error_ns));
    }
    /// When it was captured, as a date. For people.
    std::chrono::system_clock::time_point captured_date() const noexcept {
        using Clock = std::chrono::system_clock;
        return Clock::time_point(std::chrono::duration_cast<Clock::duration>(Nanoseconds(raw_.captured_date_ns)));
    }
    /// When its last byte had arrived at the daemon.
    Nanoseconds received() const noexcept { return Nanoseconds(raw_.received_ns); }
    /// When programs could read it.
    Nanoseconds published() const noexcept { return Nanoseconds(raw_.published_ns); }
    /// How many frames of the same run were captured between the one handed out before and this one.
    std::uint64_t missed() const noexcept { return raw_.missed; }
    /// For the first frame of a run of the source: how many frames were not handed out of the runs before, and before this one.
    std::uint64_t missed_between_runs() const noexcept { return raw_.missed_between_runs; }
    /// Whether decoding can begin here.
    bool is_key() const noexcept { return (raw_.flags & SDVR_FLAG_KEY) != 0; }
    Format format() const noexcept { return raw_.format; }
    /// The camera's.
    std::string_view label() const noexcept { return raw_.label; }
    /// Everything, and which run of the source it is from.
    const sdvr_frame_info& raw() const noexcept { return raw_; }

  private:
    friend class Frame;
    friend class Picture;
    sdvr_frame_info raw_{};
};

class Picture;

/// A frame: its bytes, and what is known of it.
class Frame : public FrameInfo {
  public:
    /// One that holds nothing, for Camera::next_into.
    Frame() {
        sdvr_frame* handle = nullptr;
        detail::check(sdvr_frame_new(&handle));
        handle_.reset(handle);
    }
    /// Good until the frame is used again or gone.
    Bytes bytes() const noexcept { return bytes_; }
    /// Decodes this frame alone: of H.264 and its kin, key frames only.
    Picture decode(Pixels pixels) const;
    /// For calls of sdvr.h.
    sdvr_frame* handle() const noexcept { return handle_.get(); }

  private:
    friend class Camera;
    friend class Group;
    explicit Frame(sdvr_frame* handle) : handle_(handle) { detail::check(look()); }
    Status look() noexcept {
        const std::uint8_t* data = nullptr;
        std::size_t size = 0;
        Status status = sdvr_frame_describe(handle_.get(), &raw_);
        if (status == SDVR_OK) {
            status = sdvr_frame_bytes(handle_.get(), &data, &size);
        }
        bytes_ = Bytes(data, size);
        return status;
    }
    detail::Handle<sdvr_frame, sdvr_frame_release> handle_;
    Bytes bytes_;
};

/// One plane of a picture. Rows have no padding.
struct Plane {
    Bytes bytes;
    std::size_t row_bytes;
    std::size_t rows;
};

/// A frame's pixels.
class Picture {
  public:
    /// One that holds nothing, for Camera::next_picture_into.
    Picture() {
        sdvr_picture* handle = nullptr;
        detail::check(sdvr_picture_new(&handle));
        handle_.reset(handle);
    }
    std::uint32_t width() const noexcept { return info_.width; }
    std::uint32_t height() const noexcept { return info_.height; }
    /// How the bytes lie.
    Layout layout() const noexcept { return info_.layout; }
    /// All bytes, plane after plane. Good until the picture is used again or gone.
    Bytes bytes() const noexcept { return bytes_; }
    std::uint32_t plane_count() const noexcept { return info_.planes; }
    /// Throws when there are not so many.
    Plane plane(std::uint32_t index) const {
        sdvr_plane plane{};
        detail::check(sdvr_picture_plane(handle_.get(), index, &plane));
        return {Bytes(plane.bytes, plane.len_bytes), plane.row_bytes, plane.rows};
    }
    /// How many bits of a sample are in use.
    unsigned sample_bits() const noexcept { return info_.sample_bits; }
    /// How many frames of the same run were captured between the picture handed out before and this one.
    std::uint64_t missed() const noexcept { return info_.missed; }
    /// The frame that it is of.
    const FrameInfo& frame() const noexcept { return frame_; }
    std::uint64_t number() const noexcept { return frame_.number(); }
    /// For calls of sdvr.h.
    sdvr_picture* handle() const noexcept { return handle_.get(); }

  private:
    friend class Camera;
    friend class Frame;
    explicit Picture(sdvr_picture* handle) : handle_(handle) { detail::check(look()); }
    Status look() noexcept {
        const std::uint8_t* data = nullptr;
        std::size_t size = 0;
        Status status = sdvr_picture_describe(handle_.get(), &info_);
        if (status == SDVR_OK) {
            status = sdvr_picture_bytes(handle_.get(), &data, &size);
        }
        frame_.raw_ = info_.frame;
        bytes_ = Bytes(data, size);
        return status;
    }
    detail::Handle<sdvr_picture, sdvr_picture_release> handle_;
    sdvr_picture_info info_{};
    FrameInfo frame_;
    Bytes bytes_;
};

inline Picture Frame::decode(Pixels pixels) const {
    sdvr_picture* picture = nullptr;
    detail::check(sdvr_frame_decode(handle_.get(), static_cast<std::uint32_t>(pixels), &picture));
    return Picture(picture);
}

/// What is known of a camera's stream.
struct CameraInfo {
    std::string label;
    /// "SHA256:…", or empty for a stream that a program publishes.
    std::string fingerprint;
    /// Of a stream that a program publishes: the label of the one that it is made of, or empty.
    std::string source;
    /// Where its daemon publishes; empty where only the stream itself was asked.
    std::string directory;
    Format format;
    State state;
    /// The figures of sdvr_camera_info; zeros where only the stream itself was asked.
    double frames_per_second = 0;
    std::uint64_t frames = 0;
    std::uint64_t lost = 0;
    std::uint64_t bytes = 0;

    explicit CameraInfo(const sdvr_camera_info& info)
        : label(info.label), fingerprint(info.fingerprint), source(info.source), directory(info.directory), format(info.format),
          state(static_cast<State>(info.state)), frames_per_second(info.frames_per_second), frames(info.frames), lost(info.lost),
          bytes(info.bytes) {}
    CameraInfo(const sdvr_stream_info& info, State its_state)
        : label(info.label), fingerprint(info.fingerprint), source(info.source), format(info.format), state(its_state) {}
};

/// What comes of a camera, for `for` loops. Its memory is used again for the next one; move a frame away to keep it.
template <class T>
class Range {
  public:
    /// What came of a call.
    enum class Came { yes, no, never };

    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = T*;
        using reference = T&;
        Iterator() = default;
        explicit Iterator(Range* range) : range_(range) { ++*this; }
        T& operator*() const noexcept { return *range_->item_; }
        T* operator->() const noexcept { return &*range_->item_; }
        Iterator& operator++() {
            if (!range_->advance()) {
                range_ = nullptr;
            }
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(const Iterator& other) const noexcept { return range_ == other.range_; }
        bool operator!=(const Iterator& other) const noexcept { return range_ != other.range_; }

      private:
        Range* range_ = nullptr;
    };

    explicit Range(std::function<Came(T&)> next) : next_(std::move(next)) {}
    /// Ends when the camera says that it ends, instead of waiting for it to come back.
    Range until_end() && {
        ends_ = true;
        return std::move(*this);
    }
    Iterator begin() { return Iterator(this); }
    Iterator end() const noexcept { return Iterator(); }

  private:
    bool advance() {
        for (;;) {
            if (!item_ || item_->handle() == nullptr) {
                item_.emplace();
            }
            try {
                const Came came = next_(*item_);
                if (came != Came::no) {
                    return came == Came::yes;
                }
            } catch (const Ended&) {
                if (ends_) {
                    return false;
                }
            }
        }
    }

    std::function<Came(T&)> next_;
    std::optional<T> item_;
    bool ends_ = false;
};

/// A camera that is read.
class Camera {
  public:
    /// By its label, its fingerprint or the name of its file. Throws NotFound when it is not there.
    static Camera open(const std::string& name, Start start = Start::now) {
        sdvr_camera* camera = nullptr;
        detail::check(sdvr_camera_open(name.c_str(), static_cast<std::uint32_t>(start), &camera));
        return Camera(camera);
    }
    /// In a directory that is not one of the usual ones.
    static Camera open_in(const std::string& directory, const std::string& name, Start start = Start::now) {
        sdvr_camera* camera = nullptr;
        detail::check(sdvr_camera_open_in(directory.c_str(), name.c_str(), static_cast<std::uint32_t>(start), &camera));
        return Camera(camera);
    }
    /// One that may not be there yet: the first call for a frame waits for it.
    static Camera wait_for(const std::string& name) {
        sdvr_camera* camera = nullptr;
        detail::check(sdvr_camera_wait_for(name.c_str(), &camera));
        return Camera(camera);
    }
    static Camera wait_for_in(const std::string& directory, const std::string& name) {
        sdvr_camera* camera = nullptr;
        detail::check(sdvr_camera_wait_for_in(directory.c_str(), name.c_str(), &camera));
        return Camera(camera);
    }
    /// Owns the handle from now on.
    explicit Camera(sdvr_camera* handle) noexcept : handle_(handle) {}

    /// The next frame; nothing when none came in time. Throws Ended once when the camera says that it ends.
    std::optional<Frame> next(Policy policy, Milliseconds timeout) {
        sdvr_frame* frame = nullptr;
        const Status status = sdvr_camera_next(handle_.get(), number(policy), detail::milliseconds(timeout), &frame);
        return detail::has_come(status) ? std::optional<Frame>(Frame(frame)) : std::nullopt;
    }
    /// The same into a frame that is not needed any more. False when none came in time; it then holds nothing.
    bool next_into(Policy policy, Milliseconds timeout, Frame& frame) {
        return detail::has_come(try_next_into(policy, timeout, frame));
    }
    /// The same without exceptions: SDVR_OK, SDVR_TIMEOUT, SDVR_ENDED, …
    Status try_next_into(Policy policy, Milliseconds timeout, Frame& frame) noexcept {
        frame.bytes_ = Bytes();
        const Status status = sdvr_camera_next_into(handle_.get(), number(policy), detail::milliseconds(timeout), frame.handle());
        return status == SDVR_OK ? frame.look() : status;
    }
    /// The next picture; nothing when none came in time. Throws Undecodable for a frame that gave none.
    std::optional<Picture> next_picture(Policy policy, Pixels pixels, Milliseconds timeout) {
        sdvr_picture* picture = nullptr;
        const Status status = sdvr_camera_next_picture(handle_.get(), number(policy), static_cast<std::uint32_t>(pixels),
                                                       detail::milliseconds(timeout), &picture);
        return detail::has_come(status) ? std::optional<Picture>(Picture(picture)) : std::nullopt;
    }
    bool next_picture_into(Policy policy, Pixels pixels, Milliseconds timeout, Picture& picture) {
        return detail::has_come(try_next_picture_into(policy, pixels, timeout, picture));
    }
    Status try_next_picture_into(Policy policy, Pixels pixels, Milliseconds timeout, Picture& picture) noexcept {
        picture.bytes_ = Bytes();
        const Status status = sdvr_camera_next_picture_into(handle_.get(), number(policy), static_cast<std::uint32_t>(pixels),
                                                            detail::milliseconds(timeout), picture.handle());
        return status == SDVR_OK ? picture.look() : status;
    }

    /// All frames, for ever: through the camera's ends and returns, but of a camera of an Outputs only until it goes. The camera must outlive the range.
    Range<Frame> frames(Policy policy) {
        using Came = Range<Frame>::Came;
        return Range<Frame>([this, policy](Frame& frame) {
            // Before: a camera that goes on while the work is to stop always has one more.
            const bool is_over = has_gone();
            return next_into(policy, is_over ? Milliseconds::zero() : look_interval, frame) ? Came::yes : is_over ? Came::never : Came::no;
        });
    }
    /// All pictures, likewise. Frames that give none are left out.
    Range<Picture> pictures(Policy policy, Pixels pixels) {
        using Came = Range<Picture>::Came;
        return Range<Picture>([this, policy, pixels](Picture& picture) {
            try {
                const bool is_over = has_gone();
                const Milliseconds timeout = is_over ? Milliseconds::zero() : look_interval;
                return next_picture_into(policy, pixels, timeout, picture) ? Came::yes : is_over ? Came::never : Came::no;
            } catch (const Undecodable&) {
                return Came::no;
            }
        });
    }

    State state() const {
        sdvr_state state{};
        detail::check(sdvr_camera_state(handle_.get(), &state));
        return static_cast<State>(state);
    }
    /// Nothing while it is not there.
    std::optional<CameraInfo> info() const {
        sdvr_stream_info info{};
        const Status status = sdvr_camera_describe(handle_.get(), &info);
        if (status == SDVR_NOT_FOUND) {
            return std::nullopt;
        }
        detail::check(status);
        return CameraInfo(info, state());
    }
    /// What decodes, such as "OpenH264"; empty before the first picture.
    std::string engine() const {
        std::string engine(64, '\0');
        std::size_t size = 0;
        Status status = sdvr_camera_engine(handle_.get(), &engine[0], engine.size(), &size);
        if (status == SDVR_TOO_SMALL) {
            engine.resize(size);
            status = sdvr_camera_engine(handle_.get(), &engine[0], engine.size(), &size);
        }
        if (status == SDVR_EMPTY) {
            return {};
        }
        detail::check(status);
        engine.resize(size - 1);
        return engine;
    }
    /// How many frames of runs that have ended were not handed out, and no frame has told of yet.
    std::uint64_t missed_at_end() const {
        std::uint64_t missed = 0;
        detail::check(sdvr_camera_missed_at_end(handle_.get(), &missed));
        return missed;
    }
    /// Readable when the camera has something to say, for poll and epoll. See sdvr_camera_descriptor.
    int descriptor() {
        int descriptor = -1;
        detail::check(sdvr_camera_descriptor(handle_.get(), &descriptor));
        return descriptor;
    }
    /// Whether a camera that an Outputs or sdvr_for_each_camera gave has gone.
    bool has_gone() const {
        int has_gone = 0;
        detail::check(sdvr_camera_has_gone(handle_.get(), &has_gone));
        return has_gone != 0;
    }
    /// For calls of sdvr.h.
    sdvr_camera* handle() const noexcept { return handle_.get(); }
    /// Gives the handle away.
    sdvr_camera* release() noexcept { return handle_.release(); }

  private:
    /// How often it is looked whether a camera has gone.
    static constexpr Milliseconds look_interval{200};
    static constexpr std::uint32_t number(Policy policy) noexcept { return static_cast<std::uint32_t>(policy); }
    detail::Handle<sdvr_camera, sdvr_camera_close> handle_;
};

/// The cameras that are there now, sorted by label; also those that are lost or have just ended, as their state says.
inline std::vector<CameraInfo> cameras(const std::string& directory = {}) {
    sdvr_camera_list* list = nullptr;
    detail::check(directory.empty() ? sdvr_camera_list_new(&list) : sdvr_camera_list_new_in(directory.c_str(), &list));
    const detail::Handle<sdvr_camera_list, sdvr_camera_list_release> owner(list);
    std::size_t count = 0;
    detail::check(sdvr_camera_list_count(list, &count));
    std::vector<CameraInfo> cameras;
    for (std::size_t index = 0; index < count; ++index) {
        sdvr_camera_info info{};
        detail::check(sdvr_camera_list_at(list, index, &info));
        cameras.emplace_back(info);
    }
    return cameras;
}

/// A camera came or went.
struct Change {
    bool came;
    CameraInfo camera;
};

/// Tells of cameras that come and go; first of those that are there.
class Watch {
  public:
    explicit Watch(const std::string& directory = {}) {
        sdvr_watch* watch = nullptr;
        detail::check(directory.empty() ? sdvr_watch_open(&watch) : sdvr_watch_open_in(directory.c_str(), &watch));
        handle_.reset(watch);
    }
    /// Nothing when nothing has changed in time.
    std::optional<Change> next(Milliseconds timeout) {
        sdvr_change change{};
        sdvr_camera_info info{};
        if (!detail::has_come(sdvr_watch_next(handle_.get(), detail::milliseconds(timeout), &change, &info))) {
            return std::nullopt;
        }
        return Change{change == SDVR_CAME, CameraInfo(info)};
    }

  private:
    detail::Handle<sdvr_watch, sdvr_watch_close> handle_;
};

/// Frames of many cameras, from one thread.
class Group {
  public:
    using Member = std::uint32_t;
    /// What a member gives to a set of frames.
    struct Part {
        Member member;
        /// Nothing when the camera is not live and has none.
        std::optional<Frame> frame;
        /// How many frames of it were read and found no partner since the last set.
        std::uint64_t alone;
    };

    Group() {
        sdvr_group* group = nullptr;
        detail::check(sdvr_group_new(&group));
        handle_.reset(group);
    }
    /// Adds a camera; it is the group's from now on.
    Member add(Camera camera) {
        Member member = 0;
        detail::check(sdvr_group_add(handle_.get(), camera.handle(), &member));
        camera.release();
        ++size_;
        return member;
    }
    /// Gives a camera back.
    Camera remove(Member member) {
        sdvr_camera* camera = nullptr;
        detail::check(sdvr_group_remove(handle_.get(), member, &camera));
        --size_;
        return Camera(camera);
    }
    /// The next frame of any of them, and whose it is; nothing when none came in time. Throws Ended once each time a camera says that it ends.
    std::optional<std::pair<Member, Frame>> next(Policy policy, Milliseconds timeout) {
        Member member = 0;
        sdvr_frame* frame = nullptr;
        const Status status =
            sdvr_group_next(handle_.get(), static_cast<std::uint32_t>(policy), detail::milliseconds(timeout), &member, &frame);
        if (!detail::has_come(status)) {
            return std::nullopt;
        }
        return std::make_pair(member, Frame(frame));
    }
    /// Frames that were captured at the same time, one part for each member in the order in which they were added; empty when there was no set in time.
    std::vector<Part> sync(Nanoseconds tolerance, Milliseconds timeout) {
        std::vector<sdvr_set_part> parts(size_);
        std::size_t count = 0;
        const auto within = static_cast<std::uint64_t>(tolerance.count() < 0 ? 0 : tolerance.count());
        std::vector<Part> set;
        if (!detail::has_come(
                sdvr_group_sync(handle_.get(), within, detail::milliseconds(timeout), parts.data(), parts.size(), &count))) {
            return set;
        }
        for (const sdvr_set_part& part : parts) {
            std::optional<Frame> frame;
            if (part.frame != nullptr) {
                frame = Frame(part.frame);
            }
            set.push_back(Part{part.member, std::move(frame), part.alone});
        }
        return set;
    }
    State state(Member member) const {
        sdvr_state state{};
        detail::check(sdvr_group_state(handle_.get(), member, &state));
        return static_cast<State>(state);
    }

  private:
    detail::Handle<sdvr_group, sdvr_group_close> handle_;
    std::size_t size_ = 0;
};

/// Publishes frames beside the cameras. Other programs read them as they read a camera's.
class Publisher {
  public:
    /// Under a label such as "door/people", made of the stream that is called source, if of one. Throws Taken when the label is a camera's, or another
    /// program's.
    Publisher(const std::string& label, const Format& format, const std::string& source = {}) {
        sdvr_publish_options options{};
        options.format = format.raw();
        options.source = source.empty() ? nullptr : source.c_str();
        create(label, options);
    }
    /// With everything that can be chosen.
    Publisher(const std::string& label, const sdvr_publish_options& options) { create(label, options); }
    /// Publishes what was made of nothing else, captured now; gives the number that it has.
    std::uint64_t publish(const std::uint8_t* data, std::size_t size) {
        std::uint64_t number = 0;
        detail::check(sdvr_publisher_publish(handle_.get(), data, size, SDVR_CAPTURED_NOW, SDVR_FLAGS_USUAL, &number));
        return number;
    }
    /// Publishes what was made of a frame or of a picture: captured when that was, and with its number.
    void publish_from(const Frame& frame, const std::uint8_t* data, std::size_t size) {
        detail::check(sdvr_publisher_publish_from(handle_.get(), frame.handle(), data, size));
    }
    void publish_from(const Picture& picture, const std::uint8_t* data, std::size_t size) {
        detail::check(sdvr_publisher_publish_from_picture(handle_.get(), picture.handle(), data, size));
    }
    void set_format(const Format& format) { detail::check(sdvr_publisher_set_format(handle_.get(), &format.raw())); }
    /// For calls of sdvr.h.
    sdvr_publisher* handle() const noexcept { return handle_.get(); }

  private:
    void create(const std::string& label, const sdvr_publish_options& options) {
        sdvr_publisher* publisher = nullptr;
        detail::check(sdvr_publisher_create(label.c_str(), &options, &publisher));
        handle_.reset(publisher);
    }
    detail::Handle<sdvr_publisher, sdvr_publisher_close> handle_;
};

/// Base of what is done with one camera's frames. An Outputs makes one object for each camera that comes; it is used by one thread, and gone when the
/// camera is.
class Output {
  public:
    static constexpr Policy policy = Policy::latest;
    virtual ~Output() = default;
    /// Called with each frame, one after the other. What it throws ends this object, and no other.
    virtual void process(const Frame& frame) = 0;
};

/// Base of what is done with one camera's pictures. As Output, decoded.
class DecodedOutput {
  public:
    static constexpr Policy policy = Policy::latest;
    static constexpr Pixels pixels = Pixels::bgr;
    virtual ~DecodedOutput() = default;
    virtual void process(const Picture& picture) = 0;
};

/// Makes a T for each camera that is there and that comes, and gives it the camera's frames, each on a thread of its own.
///
///     class Printer : public sdvr::Output {
///       public:
///         explicit Printer(const sdvr::CameraInfo& camera) : label_(camera.label) {}
///         void process(const sdvr::Frame& frame) override { … }
///     };
///     sdvr::Outputs<Printer> outputs;
///
/// T derives from Output or DecodedOutput, and is made of the CameraInfo or of nothing. Constants named policy and pixels in it choose what it is given. When the camera comes back, another T is
/// made.
template <class T>
class Outputs {
    static constexpr bool is_decoded = std::is_base_of_v<DecodedOutput, T>;
    static_assert(is_decoded || std::is_base_of_v<Output, T>, "T derives from sdvr::Output or sdvr::DecodedOutput");

  public:
    /// Told of what a T has thrown, on the camera's thread.
    using OnError = std::function<void(const std::string& label, const std::string& what)>;

    /// Begins, with the cameras that are usual or with those of a directory. Errors are written to std::cerr unless on_error is given.
    explicit Outputs(const std::string& directory = {}, OnError on_error = write_error) : on_error_(std::move(on_error)) {
        sdvr_each* each = nullptr;
        detail::check(directory.empty() ? sdvr_for_each_camera(work, this, &each)
                                        : sdvr_for_each_camera_in(directory.c_str(), work, this, &each));
        handle_.reset(each);
    }
    // The threads know where it is.
    Outputs(const Outputs&) = delete;
    Outputs& operator=(const Outputs&) = delete;
    /// Ends, as if all cameras had gone; waits for the frames that are being processed. Not from a T.
    ~Outputs() = default;

  private:
    static void write_error(const std::string& label, const std::string& what) {
        std::cerr << label + ": " + what + "\n";
    }
    static std::unique_ptr<T> make(const CameraInfo& camera) {
        if constexpr (std::is_constructible_v<T, const CameraInfo&>) {
            return std::make_unique<T>(camera);
        } else {
            return std::make_unique<T>();
        }
    }
    // Called by the library, beyond which nothing may be thrown.
    static void work(void* context, sdvr_camera* handle) noexcept {
        const Outputs& outputs = *static_cast<Outputs*>(context);
        std::string label;
        try {
            Camera camera(handle);
            const std::optional<CameraInfo> info = camera.info();
            if (!info) {
                return;
            }
            label = info->label;
            const std::unique_ptr<T> output = make(*info);
            if constexpr (is_decoded) {
                for (const Picture& picture : camera.pictures(T::policy, T::pixels)) {
                    output->process(picture);
                }
            } else {
                for (const Frame& frame : camera.frames(T::policy)) {
                    output->process(frame);
                }
            }
        } catch (const std::exception& error) {
            outputs.report(label, error.what());
        } catch (...) {
            outputs.report(label, "something was thrown that is no std::exception");
        }
    }
    void report(const std::string& label, const std::string& what) const noexcept {
        try {
            on_error_(label, what);
        } catch (...) {
            // Nobody is left to tell.
        }
    }
    OnError on_error_;
    // Last, so that the threads end before what they use.
    detail::Handle<sdvr_each, sdvr_each_stop> handle_;
};

} // namespace sdvr
#endif
