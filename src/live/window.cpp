// SPDX-License-Identifier: MIT
#include "live/window.h"

#if MIEN_HAS_SDL2
#include <SDL.h>

#include <cstdlib>
#endif

namespace mien::live {

#if MIEN_HAS_SDL2

namespace {

class SdlWindow : public Window {
public:
    explicit SdlWindow(std::string title) : title_(std::move(title)) {}
    ~SdlWindow() override {
        if (texture_ != nullptr) SDL_DestroyTexture(texture_);
        if (renderer_ != nullptr) SDL_DestroyRenderer(renderer_);
        if (window_ != nullptr) SDL_DestroyWindow(window_);
        SDL_Quit();
    }
    host::Result<> open() {
        SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");  // Ctrl-C stays ours
        // Without a session, Wayland's library would print a line of its own to stderr.
        if (std::getenv("XDG_RUNTIME_DIR") == nullptr && std::getenv("SDL_VIDEODRIVER") == nullptr)
            SDL_SetHint(SDL_HINT_VIDEODRIVER, "x11,KMSDRM");
        if (SDL_Init(SDL_INIT_VIDEO) != 0) return no_display();
        // SDL falls back to drivers that show nothing; use those only if the user names one.
        const std::string driver = SDL_GetCurrentVideoDriver();
        if (std::getenv("SDL_VIDEODRIVER") == nullptr &&
            (driver == "offscreen" || driver == "dummy" || driver == "evdev")) {
            SDL_SetError("neither X11 nor Wayland");
            return no_display();
        }
        window_ = SDL_CreateWindow(title_.c_str(), SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                                   640, 480, SDL_WINDOW_RESIZABLE);
        if (window_ == nullptr) return no_display();
        renderer_ = SDL_CreateRenderer(window_, -1, 0);
        if (renderer_ == nullptr) return no_display();
        return {};
    }
    void show(const std::uint8_t* rgb, int width, int height) override {
        if (texture_ == nullptr || width != width_ || height != height_) {
            if (texture_ != nullptr) SDL_DestroyTexture(texture_);
            texture_ = SDL_CreateTexture(renderer_, SDL_PIXELFORMAT_RGB24,
                                         SDL_TEXTUREACCESS_STREAMING, width, height);
            if (texture_ == nullptr) return;
            if (width_ == 0) SDL_SetWindowSize(window_, width, height);
            SDL_RenderSetLogicalSize(renderer_, width, height);
            width_ = width;
            height_ = height;
        }
        SDL_UpdateTexture(texture_, nullptr, rgb, 3 * width);
        SDL_RenderClear(renderer_);
        SDL_RenderCopy(renderer_, texture_, nullptr, nullptr);
        SDL_RenderPresent(renderer_);
    }
    bool closed() override {
        SDL_Event event;
        while (SDL_PollEvent(&event) != 0) {
            const bool key = event.type == SDL_KEYDOWN && (event.key.keysym.sym == SDLK_q ||
                                                           event.key.keysym.sym == SDLK_ESCAPE);
            closed_ = closed_ || event.type == SDL_QUIT || key;
        }
        return closed_;
    }

private:
    static host::Error no_display() {
        return host::Error::output(std::string("no display (") + SDL_GetError() +
                                   "); --mjpeg PORT shows the picture in a browser instead");
    }
    std::string title_;
    SDL_Window* window_ = nullptr;
    SDL_Renderer* renderer_ = nullptr;
    SDL_Texture* texture_ = nullptr;
    int width_ = 0, height_ = 0;
    bool closed_ = false;
};

}  // namespace

host::Result<std::unique_ptr<Window>> Window::open(const std::string& title) {
    auto window = std::make_unique<SdlWindow>(title);
    if (const host::Result<> done = window->open(); !done) return done.error();
    return std::unique_ptr<Window>(std::move(window));
}

#else

host::Result<std::unique_ptr<Window>> Window::open(const std::string&) {
    return host::Error::output(
        "this mien was built without SDL2 (cmake -DMIEN_SDL2=ON); --mjpeg PORT shows the picture "
        "in a browser instead");
}

#endif

}  // namespace mien::live
