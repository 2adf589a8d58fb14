// See ../../README.md: nothing of it is named.
#pragma once
