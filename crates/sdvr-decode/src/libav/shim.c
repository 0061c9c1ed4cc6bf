/*
 * The few calls of libavcodec that decoding takes, with a face that does not change between its versions 58 and 61 (FFmpeg 4.4 to 7).
 *
 * Fields of its structures are at other places in each version; the compiler, which has the headers of the installed one, knows them. See
 * docs/decisions/0013-decoding.md.
 */

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/log.h>
#include <libavutil/pixdesc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* As in `raw.rs`. */
enum { CODEC_H264, CODEC_HEVC, CODEC_VP8, CODEC_VP9, CODEC_AV1 };
enum { SOFTWARE, AUTOMATIC, HARDWARE };
enum { NO_PICTURE, PICTURE, CORRUPT, NO_LAYOUT };
enum { NO_MEMORY = -1, NO_DECODER = -2, NO_HARDWARE = -3, NOT_OPENED = -4 };

enum { TEXT_BYTES = 160, PIXELS_MOST = 1 << 28 };

struct sdvr_libav {
    AVCodecContext *context;
    AVPacket *packet;
    AVFrame *frame;
    /* What is copied out of the hardware's memory. */
    AVFrame *copied;
    enum AVPixelFormat hardware_format;
    int choice;
    int uses_hardware;
};

struct sdvr_libav_picture {
    const uint8_t *planes[4];
    int32_t strides[4];
    int32_t width;
    int32_t height;
    int32_t layout;
    int32_t bits;
    int32_t matrix;
    int32_t is_full_range;
    int32_t uses_hardware;
    uint64_t number;
    char name[TEXT_BYTES];
};

static const AVCodec *find(int codec) {
    static const enum AVCodecID ids[] = {
        AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_VP8, AV_CODEC_ID_VP9, AV_CODEC_ID_AV1,
    };
    return codec >= CODEC_H264 && codec <= CODEC_AV1 ? avcodec_find_decoder(ids[codec]) : NULL;
}

/* Called when the stream's pixels are known: the hardware may decode the codec and yet not this profile of it. */
static enum AVPixelFormat choose_format(AVCodecContext *context, const enum AVPixelFormat *offered) {
    struct sdvr_libav *self = context->opaque;
    self->uses_hardware = 0;
    for (const enum AVPixelFormat *format = offered; *format != AV_PIX_FMT_NONE; format++) {
        if (*format == self->hardware_format) {
            self->uses_hardware = 1;
            return *format;
        }
    }
    if (self->choice == HARDWARE) {
        return AV_PIX_FMT_NONE;
    }
    for (const enum AVPixelFormat *format = offered; *format != AV_PIX_FMT_NONE; format++) {
        const AVPixFmtDescriptor *description = av_pix_fmt_desc_get(*format);
        if (description && !(description->flags & AV_PIX_FMT_FLAG_HWACCEL)) {
            return *format;
        }
    }
    return AV_PIX_FMT_NONE;
}

/* Takes the first hardware that is there; writes its name, or the names of what was looked for. */
static int find_hardware(struct sdvr_libav *self, const AVCodec *codec, char *text) {
    const AVCodecHWConfig *config;
    size_t length = 0;
    text[0] = 0;
    for (int index = 0; (config = avcodec_get_hw_config(codec, index)); index++) {
        if (!(config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX)) {
            continue;
        }
        const char *name = av_hwdevice_get_type_name(config->device_type);
        /* What is not there is said on standard error, by contexts that are not ours. */
        int level = av_log_get_level();
        av_log_set_level(AV_LOG_QUIET);
        int result = av_hwdevice_ctx_create(&self->context->hw_device_ctx, config->device_type, NULL, NULL, 0);
        av_log_set_level(level);
        if (result >= 0) {
            self->hardware_format = config->pix_fmt;
            snprintf(text, TEXT_BYTES, "%s", name ? name : "hardware");
            return 1;
        }
        if (name && length < TEXT_BYTES) {
            length += (size_t)snprintf(text + length, TEXT_BYTES - length, "%s%s", length ? ", " : "", name);
        }
    }
    return 0;
}

void sdvr_libav_close(struct sdvr_libav *self) {
    if (self) {
        av_frame_free(&self->copied);
        av_frame_free(&self->frame);
        av_packet_free(&self->packet);
        avcodec_free_context(&self->context);
        av_free(self);
    }
}

/* Writes the decoder to `out`, the name of the codec's decoder to `name` and of the hardware, or of all that was looked for, to
 * `hardware`; 1 when there is some. */
int sdvr_libav_open(int codec_number, int choice, const uint8_t *extradata, size_t extradata_bytes,
                    struct sdvr_libav **out, char *name, char *hardware) {
    const AVCodec *codec = find(codec_number);
    *out = NULL;
    name[0] = hardware[0] = 0;
    if (!codec) {
        return NO_DECODER;
    }
    struct sdvr_libav *self = av_mallocz(sizeof *self);
    if (!self) {
        return NO_MEMORY;
    }
    self->choice = choice;
    self->hardware_format = AV_PIX_FMT_NONE;
    self->context = avcodec_alloc_context3(codec);
    self->packet = av_packet_alloc();
    self->frame = av_frame_alloc();
    self->copied = av_frame_alloc();
    if (!self->context || !self->packet || !self->frame || !self->copied) {
        sdvr_libav_close(self);
        return NO_MEMORY;
    }
    AVCodecContext *context = self->context;
    context->opaque = self;
    context->get_format = choose_format;
    /* One thread: others would keep pictures back, and streams are many. */
    context->thread_count = 1;
    /* Where bits are missing they are made up, because only then does the decoder tell that they are; such pictures are not handed out. No words
     * about it on standard error. */
    context->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
    context->log_level_offset = 100;
    context->max_pixels = PIXELS_MOST;
    context->pkt_timebase = (AVRational){1, 25};
    if (extradata_bytes > 0 && extradata_bytes < (1 << 20)) {
        context->extradata = av_mallocz(extradata_bytes + AV_INPUT_BUFFER_PADDING_SIZE);
        if (!context->extradata) {
            sdvr_libav_close(self);
            return NO_MEMORY;
        }
        memcpy(context->extradata, extradata, extradata_bytes);
        context->extradata_size = (int)extradata_bytes;
    }
    if (choice != SOFTWARE && !find_hardware(self, codec, hardware) && choice == HARDWARE) {
        sdvr_libav_close(self);
        return NO_HARDWARE;
    }
    if (avcodec_open2(context, codec, NULL) < 0) {
        sdvr_libav_close(self);
        return NOT_OPENED;
    }
    snprintf(name, TEXT_BYTES, "%s", codec->name);
    self->uses_hardware = self->hardware_format != AV_PIX_FMT_NONE;
    *out = self;
    return self->uses_hardware;
}

/* Gives it a frame; `AVERROR(EAGAIN)` becomes 1: a picture must be taken first. */
int sdvr_libav_send(struct sdvr_libav *self, const uint8_t *bytes, size_t length, uint64_t number, int is_key) {
    if (length == 0 || length > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE) {
        return AVERROR_INVALIDDATA;
    }
    /* The decoder may read behind the end, where zeros must be. */
    int result = av_new_packet(self->packet, (int)length);
    if (result < 0) {
        return result;
    }
    memcpy(self->packet->data, bytes, length);
    self->packet->pts = self->packet->dts = (int64_t)number;
    self->packet->flags = is_key ? AV_PKT_FLAG_KEY : 0;
    result = avcodec_send_packet(self->context, self->packet);
    av_packet_unref(self->packet);
    return result == AVERROR(EAGAIN) ? 1 : result;
}

/* Says that nothing comes any more, so that pictures that wait come out. */
int sdvr_libav_finish(struct sdvr_libav *self) {
    return avcodec_send_packet(self->context, NULL);
}

void sdvr_libav_reset(struct sdvr_libav *self) {
    avcodec_flush_buffers(self->context);
}

/* As in `raw.rs`; 0 when there is none. */
static int layout_of(enum AVPixelFormat format, int32_t *bits) {
    *bits = 8;
    switch (format) {
    case AV_PIX_FMT_YUV420P: case AV_PIX_FMT_YUVJ420P: return 1;
    case AV_PIX_FMT_YUV422P: case AV_PIX_FMT_YUVJ422P: return 2;
    case AV_PIX_FMT_YUV444P: case AV_PIX_FMT_YUVJ444P: return 3;
    case AV_PIX_FMT_NV12: return 4;
    case AV_PIX_FMT_GRAY8: return 5;
    case AV_PIX_FMT_YUV420P10LE: *bits = 10; return 6;
    case AV_PIX_FMT_YUV420P12LE: *bits = 12; return 6;
    case AV_PIX_FMT_YUV422P10LE: *bits = 10; return 7;
    case AV_PIX_FMT_YUV422P12LE: *bits = 12; return 7;
    case AV_PIX_FMT_YUV444P10LE: *bits = 10; return 8;
    case AV_PIX_FMT_YUV444P12LE: *bits = 12; return 8;
    case AV_PIX_FMT_P010LE: *bits = 10; return 9;
    case AV_PIX_FMT_GRAY10LE: *bits = 10; return 10;
    case AV_PIX_FMT_GRAY12LE: *bits = 12; return 10;
    case AV_PIX_FMT_NV16: return 11;
    default: return 0;
    }
}

static int is_full_range(const AVFrame *frame) {
    return frame->color_range == AVCOL_RANGE_JPEG || frame->format == AV_PIX_FMT_YUVJ420P
        || frame->format == AV_PIX_FMT_YUVJ422P || frame->format == AV_PIX_FMT_YUVJ444P;
}

/* Describes the next picture, whose planes are there until the next call; what there is instead when it is not `PICTURE`; or an error. */
int sdvr_libav_receive(struct sdvr_libav *self, struct sdvr_libav_picture *picture) {
    memset(picture, 0, sizeof *picture);
    picture->uses_hardware = self->uses_hardware;
    int result = avcodec_receive_frame(self->context, self->frame);
    if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) {
        return NO_PICTURE;
    }
    if (result < 0) {
        return result;
    }
    picture->uses_hardware = self->uses_hardware;
    picture->number = (uint64_t)self->frame->pts;
    if (self->frame->flags & AV_FRAME_FLAG_CORRUPT || self->frame->decode_error_flags) {
        return CORRUPT;
    }
    const AVFrame *frame = self->frame;
    if (frame->format == self->hardware_format) {
        av_frame_unref(self->copied);
        result = av_hwframe_transfer_data(self->copied, frame, 0);
        if (result < 0) {
            return result;
        }
        av_frame_copy_props(self->copied, frame);
        frame = self->copied;
    }
    const char *name = av_get_pix_fmt_name(frame->format);
    snprintf(picture->name, TEXT_BYTES, "%s", name ? name : "?");
    for (int plane = 0; plane < 4; plane++) {
        picture->planes[plane] = frame->data[plane];
        picture->strides[plane] = frame->linesize[plane];
    }
    picture->width = frame->width;
    picture->height = frame->height;
    picture->layout = layout_of(frame->format, &picture->bits);
    picture->matrix = frame->colorspace;
    picture->is_full_range = is_full_range(frame);
    return picture->layout ? PICTURE : NO_LAYOUT;
}

/* What went wrong, in words. */
void sdvr_libav_words(int result, char *text) {
    if (av_strerror(result, text, TEXT_BYTES) < 0) {
        snprintf(text, TEXT_BYTES, "error %d", result);
    }
}
