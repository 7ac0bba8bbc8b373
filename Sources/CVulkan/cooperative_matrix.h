//! Structures of VK_KHR_cooperative_matrix and VK_NV_cooperative_matrix2, which headers before 1.4 lack
//! (Vulkan specification, sections on each; numbers from its registry).
#ifndef THIMBLE_COOPERATIVE_MATRIX_H
#define THIMBLE_COOPERATIVE_MATRIX_H

#include "CVulkan.h"

enum {
    THIMBLE_COOPERATIVE_MATRIX_FEATURES = 1000506000,
    THIMBLE_COOPERATIVE_MATRIX_PROPERTIES = 1000506001,
    THIMBLE_COOPERATIVE_MATRIX2_FEATURES = 1000593000,
    THIMBLE_SCOPE_SUBGROUP = 3,
};

struct thimble_cooperative_matrix_features {
    VkStructureType type;
    void *next;
    VkBool32 cooperative_matrix;
    VkBool32 robust_buffer_access;
};

struct thimble_cooperative_matrix2_features {
    VkStructureType type;
    void *next;
    VkBool32 workgroup_scope, flexible_dimensions, reductions, conversions, per_element_operations,
        tensor_addressing, block_loads;
};

struct thimble_cooperative_matrix_properties {
    VkStructureType type;
    void *next;
    uint32_t m, n, k;
    uint32_t a_type, b_type, c_type, result_type;
    VkBool32 saturating;
    uint32_t scope;
};

typedef VkResult(VKAPI_PTR *PFN_thimble_cooperative_matrix_properties)(
    VkPhysicalDevice device, uint32_t *count, struct thimble_cooperative_matrix_properties *properties);

#endif
