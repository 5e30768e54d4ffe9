#include "lib/Weights/Weights.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace uoe;
using llvm::SmallString;
using onnx::FileAttr;
namespace path = llvm::sys::path;

static void replacePaths(Operation *root,
                         llvm::function_ref<SmallString<256>(llvm::StringRef)> renamed) {
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](FileAttr attr) -> std::optional<Attribute> {
    return FileAttr::get(attr.getContext(), attr.getType(), renamed(attr.getPath()),
                         attr.getOffset(), attr.getLength());
  });
  replacer.recursivelyReplaceElementsIn(root, /*replaceAttrs=*/true);
}

void uoe::resolvePaths(Operation *root, llvm::StringRef folder) {
  if (folder.empty())
    return;
  replacePaths(root, [&](llvm::StringRef file) {
    SmallString<256> result(path::is_absolute(file) ? "" : folder);
    path::append(result, file);
    return result;
  });
}

void uoe::relatePaths(Operation *root, llvm::StringRef folder) {
  auto absolute = [](llvm::StringRef name) {
    SmallString<256> result(name);
    (void)llvm::sys::fs::make_absolute(result);
    path::remove_dots(result, /*remove_dot_dot=*/true);
    return result;
  };
  const SmallString<256> base = absolute(folder);
  replacePaths(root, [&](llvm::StringRef file) {
    SmallString<256> result = absolute(file);
    llvm::StringRef within = result;
    if (within.consume_front(base) && within.consume_front("/"))
      return SmallString<256>(within);
    return result;
  });
}
