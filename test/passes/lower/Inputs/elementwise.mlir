// Loops for kernels: arithmetic with all types and all functions, Softmax, a normalisation with a second result.
func.func @all(%x: tensor<?x32xf32>, %y: tensor<32xf32>, %i: tensor<?x1xi64>, %c: tensor<?x32xi1>, %h: tensor<?x32xf16>, %t: tensor<?x32xbf16>)
    -> (tensor<?x32xf32>, tensor<?x32xi1>, tensor<?x32xf16>, tensor<?x32xbf16>) {
  %0:4 = rt.elementwise(%x, %y, %i, %c, %h, %t)
      : (tensor<?x32xf32>, tensor<32xf32>, tensor<?x1xi64>, tensor<?x32xi1>, tensor<?x32xf16>, tensor<?x32xbf16>)
      -> (tensor<?x32xf32>, tensor<?x32xi1>, tensor<?x32xf16>, tensor<?x32xbf16>) {
  ^bb0(%a: f32, %b: f32, %n: i64, %p: i1, %half: f16, %brain: bf16):
    %exp = math.exp %a : f32
    %log = math.log %b : f32
    %tanh = math.tanh %exp : f32
    %erf = math.erf %log : f32
    %sum = arith.addf %tanh, %erf : f32
    %abs = math.absf %sum : f32
    %root = math.sqrt %abs : f32
    %floor = math.floor %root : f32
    %ceil = math.ceil %floor : f32
    %round = math.roundeven %ceil : f32
    %wide = arith.extf %half : f16 to f32
    %wider = arith.extf %brain : bf16 to f32
    %both = arith.divf %wide, %wider : f32
    %real = arith.sitofp %n : i64 to f32
    %chosen = arith.select %p, %round, %real : f32
    %y0 = arith.mulf %chosen, %both : f32
    %less = arith.cmpf olt, %y0, %a : f32
    %narrow = arith.truncf %y0 : f32 to f16
    %narrower = arith.truncf %y0 : f32 to bf16
    rt.yield %y0, %less, %narrow, %narrower : f32, i1, f16, bf16
  }
  return %0#0, %0#1, %0#2, %0#3 : tensor<?x32xf32>, tensor<?x32xi1>, tensor<?x32xf16>, tensor<?x32xbf16>
}

func.func @softmax(%x: tensor<?x?xf32>, %mask: tensor<?xf32>) -> tensor<?x?xf32> {
  %0 = rt.elementwise(%x, %mask) : (tensor<?x?xf32>, tensor<?xf32>) -> tensor<?x?xf32> {
  ^bb0(%a: f32, %b: f32):
    %masked = arith.addf %a, %b : f32
    %top = rt.reduce max %masked : f32
    %shifted = arith.subf %masked, %top : f32
    %e = math.exp %shifted : f32
    %total = rt.reduce add %e : f32
    %one = arith.constant 1.0 : f32
    %share = arith.divf %one, %total : f32
    %y = arith.mulf %e, %share : f32
    rt.yield %y : f32
  }
  return %0 : tensor<?x?xf32>
}

func.func @norm(%x: tensor<?x32xf32>, %skip: tensor<?x32xf32>, %scale: tensor<32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x1xf32>) {
  %0:3 = rt.elementwise(%x, %skip, %scale) : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x1xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %sum = arith.addf %a, %b : f32
    %square = arith.mulf %sum, %sum : f32
    %squares = rt.reduce add %square : f32
    %n = rt.row_length : f32
    %mean = arith.divf %squares, %n : f32
    %root = math.sqrt %mean : f32
    %unit = arith.divf %sum, %root : f32
    %y = arith.mulf %unit, %s : f32
    rt.yield %sum, %y, %root : f32, f32, f32
  }
  return %0#0, %0#1, %0#2 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x1xf32>
}
