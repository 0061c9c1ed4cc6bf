// What the examples have in common: their command line, and how they end when something goes wrong.
#pragma once

#include <sdvr.hpp>

#include <cstdlib>
#include <cstdint>
#include <exception>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

struct Arguments {
    std::vector<std::string> words;
    /// How many frames are wanted; without --count, more than ever come.
    std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
};

/// Reads so many words and `--count N`, and runs the program with them. Errors end it, and are told.
template <class Program>
int run_example(int argc, char** argv, std::size_t words, const std::string& usage, Program program) {
    try {
        Arguments arguments;
        bool is_wrong = false;
        for (int i = 1; i < argc; ++i) {
            const std::string word = argv[i];
            if (word == "--count" && i + 1 < argc) {
                char* end = nullptr;
                arguments.count = std::strtoull(argv[++i], &end, 10);
                is_wrong |= *end != '\0';
            } else {
                is_wrong |= word.rfind('-', 0) == 0;
                arguments.words.push_back(word);
            }
        }
        if (is_wrong || arguments.words.size() != words) {
            std::cerr << "usage: " << argv[0] << ' ' << usage << '\n';
            return 2;
        }
        program(arguments);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
