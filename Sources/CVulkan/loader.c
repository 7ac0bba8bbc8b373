//! Finds Vulkan's functions when the program runs, so that it starts where there is no Vulkan.
#include "CVulkan.h"
#include <dlfcn.h>
#include <string.h>

bool thimble_vulkan_open(struct thimble_vulkan *vulkan) {
    memset(vulkan, 0, sizeof *vulkan);
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    vulkan->vkGetInstanceProcAddr = (PFN_vkGetInstanceProcAddr)dlsym(library, "vkGetInstanceProcAddr");
    if (!vulkan->vkGetInstanceProcAddr) return false;
#define FIND(name) vulkan->name = (PFN_##name)vulkan->vkGetInstanceProcAddr(NULL, #name)
    FIND(vkCreateInstance);
    FIND(vkEnumerateInstanceVersion);
    FIND(vkEnumerateInstanceLayerProperties);
#undef FIND
    // Without the version there is only Vulkan 1.0.
    return vulkan->vkCreateInstance && vulkan->vkEnumerateInstanceVersion &&
        vulkan->vkEnumerateInstanceLayerProperties;
}

static const char validation_layer[] = "VK_LAYER_KHRONOS_validation";

static VKAPI_ATTR VkBool32 VKAPI_CALL hear(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
    VkDebugUtilsMessageTypeFlagsEXT types, const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    (void)severity, (void)types;
    const struct thimble_vulkan *vulkan = user;
    vulkan->listener(vulkan->listener_user, data->pMessage);
    return VK_FALSE;
}

/// Functions of an extension that only a listener asks for.
static bool is_of_debugging(const char *name) { return strstr(name, "DebugUtils") != NULL; }

VkResult thimble_vulkan_create_instance(struct thimble_vulkan *vulkan, thimble_vulkan_listener listener,
    void *user, struct thimble_vulkan_instance *instance) {
    memset(instance, 0, sizeof *instance);
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "thimble",
        .apiVersion = VK_API_VERSION_1_3,
    };
    const VkValidationFeatureEnableEXT enabled[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    const VkValidationFeaturesEXT validation = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = enabled,
    };
    const char *layers[] = {validation_layer};
    const char *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
    const VkInstanceCreateInfo information = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = listener ? &validation : NULL,
        .pApplicationInfo = &application,
        .enabledLayerCount = listener ? 1 : 0,
        .ppEnabledLayerNames = layers,
        .enabledExtensionCount = listener ? 2 : 0,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult result = vulkan->vkCreateInstance(&information, NULL, &instance->instance);
    if (result != VK_SUCCESS) return result;
#define X(name) vulkan->name = (PFN_##name)vulkan->vkGetInstanceProcAddr(instance->instance, #name);
    THIMBLE_VULKAN_INSTANCE_FUNCTIONS(X)
#undef X
    bool has_all = true;
#define X(name) has_all = has_all && (vulkan->name || !listener && is_of_debugging(#name));
    THIMBLE_VULKAN_INSTANCE_FUNCTIONS(X)
#undef X
    if (!has_all) {
        if (vulkan->vkDestroyInstance) vulkan->vkDestroyInstance(instance->instance, NULL);
        instance->instance = NULL;
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    vulkan->vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR = (void *)vulkan->vkGetInstanceProcAddr(
        instance->instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    if (!listener) return VK_SUCCESS;
    vulkan->listener = listener;
    vulkan->listener_user = user;
    const VkDebugUtilsMessengerCreateInfoEXT messages = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
            VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = hear,
        .pUserData = vulkan,
    };
    result = vulkan->vkCreateDebugUtilsMessengerEXT(
        instance->instance, &messages, NULL, &instance->messenger);
    if (result != VK_SUCCESS) {
        vulkan->vkDestroyInstance(instance->instance, NULL);
        instance->instance = NULL;
    }
    return result;
}
