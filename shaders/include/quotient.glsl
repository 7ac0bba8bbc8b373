//! Division to the nearest, where Vulkan allows more.
#ifndef THIMBLE_QUOTIENT_GLSL
#define THIMBLE_QUOTIENT_GLSL

// a / b to the nearest float32.
float quotient(float a, float b) {
    precise float q = a / b;
    precise float rest = fma(-q, b, a);
    precise float refined = fma(rest, 1 / b, q);
    return isinf(refined) || isnan(refined) ? q : refined;
}

#endif
