// See ../../README.md: nothing in this header is used.
#pragma once
