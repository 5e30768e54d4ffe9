module attributes {onnx.graph_name = "g", onnx.ir_version = 8 : i64, onnx.opset_import = {ai.onnx = 17 : i64}} {
  onnx.initializer @sqrt : tensor<f32> = dense<1.41421354> : tensor<f32>
  onnx.initializer @bias : tensor<4x1x1xf32> = dense<[[[2.04091907]], [[-2.55566502]], [[0.418098837]], [[-0.567769587]]]> : tensor<4x1x1xf32>
  onnx.initializer @w1 : tensor<8x8xf32> = dense<[[-0.135794789, -0.0646791458, -0.605995833, -0.069579713, -0.259563923, 0.996899843, 0.0677359849, -0.105789237], [-0.084386222, -0.200413898, -0.316545159, -0.117240295, 0.144583613, -0.0715660825, 0.287327617, -0.0599406399], [0.00727786962, 0.46374625, 0.163531661, -0.151568621, -0.0548516922, 0.162157536, 0.580526412, -0.0808860957], [-0.0730676055, 0.300694078, -0.265937984, -0.0875160694, 0.264761686, 1.741050e-01, 0.0274550114, 0.201031312], [-0.848448693, 0.306392044, -0.287893414, -5.005860e-01, 0.0829337313, 0.210163459, -0.133430243, -0.322921753], [7.837450e-03, -0.0158241931, 0.421679437, 0.224222392, 0.0581446923, 0.333489954, -0.0616569147, -0.277769864], [0.175217494, 0.174761519, -0.064448677, -0.234842569, 0.0687461719, -0.748168289, 0.207037434, 0.147410482], [-0.491657138, 0.0184060521, -0.2892299, 0.22716631, -0.610250174, -0.274348348, 2.128740e-01, 0.346920311]]> : tensor<8x8xf32>
  onnx.initializer @c3 : tensor<4xi64> = dense<[0, 0, 4, 2]> : tensor<4xi64>
  onnx.initializer @w6 : tensor<8x4xf32> = dense<[[-0.64740163, -0.149411947, 0.0984060242, -0.182764843], [0.477192074, -3.573680e-01, 0.106359586, -0.31452167], [0.421788871, -0.00649536867, -0.111675166, -0.515455484], [0.504547656, 0.22583358, 0.226069152, 0.341364384], [0.104767971, -0.191773981, -0.24007237, -0.240059987], [0.411021709, -0.438114375, -0.178910851, -0.096373178], [0.0673857108, 0.172604814, -0.374729097, -0.519004047], [-0.0013242698, 0.364069134, 0.227117419, 0.0646952316]]> : tensor<8x4xf32>
  onnx.initializer @w8 : tensor<4xf32> = dense<[-0.0951466932, 0.0879701077, -0.0730005279, 0.24516198]> : tensor<4xf32>
  onnx.initializer @c10 : tensor<4xi64> = dense<[0, 0, 2, 2]> : tensor<4xi64>
  onnx.initializer @c12 : tensor<1xi64> = dense<3> : tensor<1xi64>
  onnx.initializer @c14 : tensor<5xi64> = dense<[1, 1, 1, 2, 1]> : tensor<5xi64>
  onnx.initializer @c17 : tensor<1xi64> = dense<1> : tensor<1xi64>
  onnx.initializer @c20 : tensor<4xi64> = dense<[0, 4, 2, -1]> : tensor<4xi64>
  onnx.initializer @w25 : tensor<8x4xf32> = dense<[[-0.238334209, 0.0402719826, -0.0332340412, 0.163007811], [0.0673915595, 0.765010416, 0.449596435, 0.449021161], [-0.611851155, -0.102094986, -0.182583183, 0.159816474], [-0.683707952, 0.352349609, 3.200950e-01, -0.390621245], [-0.293564558, -0.240351602, 0.0129887704, 0.192291319], [0.614365816, -0.0592336282, 0.230250761, 0.0466253422], [0.527977884, 0.222647354, 0.410565138, -0.323302567], [-0.0576722138, -0.244131729, 0.451484233, 0.19729197]]> : tensor<8x4xf32>
  onnx.initializer @w27 : tensor<4xf32> = dense<[-0.0915433242, -0.13574037, 0.145399466, -0.210448653]> : tensor<4xf32>
  onnx.initializer @c33 : tensor<1xi64> = dense<2> : tensor<1xi64>
  onnx.initializer @c36 : tensor<4xi64> = dense<[0, 4, -1, 2]> : tensor<4xi64>
  onnx.initializer @c40 : tensor<3xi64> = dense<[0, 0, 8]> : tensor<3xi64>
  onnx.initializer @w42 : tensor<8x8xf32> = dense<[[-0.279176652, 0.144382343, 0.738939583, -0.0738400668, -0.166759729, -0.351347059, -0.400503278, 0.157494977], [0.255240917, 0.0027524163, 0.099772796, 0.034774974, 0.0415964536, -0.457847714, -0.137435481, 0.0334437937], [-0.234950036, -0.142928928, -0.245736048, -0.100049004, 0.25593248, -0.121974103, -0.0461612046, 0.244115502], [0.193431064, 0.508562267, -0.627145529, 0.257057697, -0.144685224, 0.0404075459, 0.251315802, 0.324975938], [0.311805218, 0.0465320088, 0.482898802, -0.0848922654, -0.042294573, 0.239805356, -0.165411726, 0.648271858], [0.305761963, 0.652672588, -0.00797675643, -0.114926562, 5.011440e-02, 0.220372945, -0.1762283, 0.113910526], [-0.00504128356, 0.484704524, -0.198810548, 0.313848525, -0.193159059, -0.288190246, -0.213089824, -0.357055753], [0.0439051092, 0.309378237, 0.0492944643, 0.187297538, 0.489652246, 0.0810079351, 0.0585487075, -0.0825184435]]> : tensor<8x8xf32>
  onnx.initializer @w45 : tensor<8x8xf32> = dense<[[-0.482472688, 0.22792168, -0.52693814, 0.195802927, -0.0042961007, 0.338034421, -0.0203310773, -0.246960044], [0.107373081, -0.168070838, -0.0542870462, 0.0125612365, -0.0403649136, -0.0566406809, -0.249733493, -0.056740135], [-0.641502201, -0.0471996292, -0.359416783, 0.336079121, 0.380978018, -0.585307717, 0.0434750356, -0.0379091762], [-0.314014703, 0.15949595, -0.13850686, -0.530279756, -0.0800029933, -0.0444759354, 0.0319293067, -0.369369894], [0.184704274, 0.220637128, -0.343748182, -0.197656676, -0.024101194, -0.169777602, 0.523126364, 0.0625116378], [-0.303174615, -0.236432672, -0.0172410775, 0.688733637, -0.0534792952, 0.038242925, 0.154213607, -0.0120377811], [0.68419826, -0.15945749, 0.223260939, 0.0481313914, 0.186358914, -0.352992892, 0.530433834, -0.0364582539], [0.0102489786, -0.280492872, -0.218908578, 0.169271827, 0.295949966, 0.225976408, 0.362691075, 0.214346677]]> : tensor<8x8xf32>
  onnx.initializer @w49 : tensor<8x4xf32> = dense<[[0.00853854976, 0.250957787, 0.178080976, -0.0301725809], [0.217821822, 0.385709226, 7.037140e-02, -0.106861532], [0.21561341, 0.570216537, -0.0631686151, -0.0276928861], [-0.0409192592, 0.366905212, -0.551159501, 0.109753609], [0.357679188, -0.244014949, 0.446693212, 0.160592705], [-0.164710775, 0.0612419471, -0.460347623, -0.169671312], [0.548071146, -0.26814121, 0.553371549, -0.0244720764], [0.298398852, 0.013169107, -0.672444463, -0.171795398]]> : tensor<8x4xf32>
  onnx.initializer @w51 : tensor<4xf32> = dense<[0.0569560789, -0.345284909, -0.404223233, 0.109855756]> : tensor<4xf32>
  onnx.initializer @c54 : tensor<4xi64> = dense<[0, 0, 1, 1]> : tensor<4xi64>
  onnx.initializer @w61 : tensor<8x4xf32> = dense<[[-0.194824502, -0.508748174, -0.205234557, 0.258221269], [-0.142123818, 0.280431777, 0.458181828, 0.00975462049], [-3.389050e-01, -0.390469521, -0.00787615589, 0.264316708], [0.0807045996, 0.164177164, -0.133002535, 0.0901268274], [-0.141392633, -0.0976829677, -0.387673944, -0.471663892], [-0.14458701, -0.332279801, -0.287623703, 0.201314241], [-0.0321242772, 0.874237776, 0.277902633, -0.189956278], [0.233402207, 0.107041165, -0.205704316, 0.33077848]]> : tensor<8x4xf32>
  onnx.initializer @w63 : tensor<4xf32> = dense<[-0.232598588, -0.917514383, 0.238219425, -0.185177729]> : tensor<4xf32>
  onnx.initializer @w71 : tensor<8x8xf32> = dense<[[0.445811242, -0.19490166, -0.354406267, 0.464538515, -0.322649509, 0.0610181056, 0.434918165, 0.0343492031], [-0.0241754744, 0.0307270307, 0.251716107, -0.242043644, 0.183192298, 0.17312263, 0.699813604, -0.100957662], [-0.274448961, 0.220706105, -0.119147174, 0.0867348462, 0.0397729576, 0.350518197, -0.197051242, -0.0276838578], [-0.765633821, -0.267034173, 0.460901648, -0.20445177, -0.21044305, -0.365372151, 0.173950285, 0.0533970483], [-0.356060058, 0.200235114, 0.0780317634, 0.226210013, -0.192443848, 0.521402657, 0.122960284, -0.0350668542], [-0.155650288, -0.0734482109, 0.25763759, -0.0806900039, 0.323443174, 0.174202845, 0.403948545, 0.244231269], [-0.0188817792, -5.728020e-01, 0.0895711705, 0.236722812, 0.0488676839, 0.166929513, -0.141486034, -0.114143275], [-0.282716721, 0.408570111, 0.0475182794, -0.147745833, -0.399555743, -0.0459921844, 0.432789356, 0.138576493]]> : tensor<8x8xf32>
  func.func @main_graph(%arg0: tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "x"}) -> (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "y"}) {
    %0 = onnx.weight @sqrt : tensor<f32>
    %1 = onnx.weight @bias : tensor<4x1x1xf32>
    %2 = onnx.weight @w1 : tensor<8x8xf32>
    %3 = onnx.weight @c3 : tensor<4xi64>
    %4 = onnx.weight @w6 : tensor<8x4xf32>
    %5 = onnx.weight @w8 : tensor<4xf32>
    %6 = onnx.weight @c10 : tensor<4xi64>
    %7 = onnx.weight @c12 : tensor<1xi64>
    %8 = onnx.weight @c14 : tensor<5xi64>
    %9 = onnx.weight @c17 : tensor<1xi64>
    %10 = onnx.weight @c20 : tensor<4xi64>
    %11 = onnx.weight @w25 : tensor<8x4xf32>
    %12 = onnx.weight @w27 : tensor<4xf32>
    %13 = onnx.weight @c33 : tensor<1xi64>
    %14 = onnx.weight @c36 : tensor<4xi64>
    %15 = onnx.weight @c40 : tensor<3xi64>
    %16 = onnx.weight @w42 : tensor<8x8xf32>
    %17 = onnx.weight @w45 : tensor<8x8xf32>
    %18 = onnx.weight @w49 : tensor<8x4xf32>
    %19 = onnx.weight @w51 : tensor<4xf32>
    %20 = onnx.weight @c54 : tensor<4xi64>
    %21 = onnx.weight @w61 : tensor<8x4xf32>
    %22 = onnx.weight @w63 : tensor<4xf32>
    %23 = onnx.weight @w71 : tensor<8x8xf32>
    %24 = onnx.node "MatMul"(%arg0, %2) fields {result_names = ["v2"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x8xf32>) -> !onnx.any
    %25 = onnx.node "Reshape"(%24, %3) fields {result_names = ["v4"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %26 = onnx.node "Transpose"(%25) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v5"]} : (!onnx.any) -> !onnx.any
    %27 = onnx.node "MatMul"(%arg0, %4) fields {result_names = ["v7"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x4xf32>) -> !onnx.any
    %28 = onnx.node "Add"(%27, %5) fields {result_names = ["v9"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %29 = onnx.node "Reshape"(%28, %6) fields {result_names = ["v11"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %30 = onnx.node "Unsqueeze"(%29, %7) fields {result_names = ["v13"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %31 = onnx.node "Tile"(%30, %8) fields {result_names = ["v15"]} : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %32 = onnx.node "Reshape"(%31, %3) fields {result_names = ["v16"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %33 = onnx.node "Unsqueeze"(%32, %9) fields {result_names = ["v18"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %34 = onnx.node "Transpose"(%33) {perm = array<i64: 0, 3, 4, 1, 2>} fields {result_names = ["v19"]} : (!onnx.any) -> !onnx.any
    %35 = onnx.node "Reshape"(%34, %10) fields {result_names = ["v21"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %36 = onnx.node "MatMul"(%26, %35) fields {result_names = ["v22"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %37 = onnx.node "Div"(%36, %0) fields {result_names = ["v23"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %38 = onnx.node "Softmax"(%37) {axis = -1 : i64} fields {result_names = ["v24"]} : (!onnx.any) -> !onnx.any
    %39 = onnx.node "MatMul"(%arg0, %11) fields {result_names = ["v26"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x4xf32>) -> !onnx.any
    %40 = onnx.node "Add"(%39, %12) fields {result_names = ["v28"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %41 = onnx.node "Reshape"(%40, %6) fields {result_names = ["v29"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %42 = onnx.node "Unsqueeze"(%41, %7) fields {result_names = ["v30"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %43 = onnx.node "Tile"(%42, %8) fields {result_names = ["v31"]} : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %44 = onnx.node "Reshape"(%43, %3) fields {result_names = ["v32"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %45 = onnx.node "Unsqueeze"(%44, %13) fields {result_names = ["v34"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %46 = onnx.node "Transpose"(%45) {perm = array<i64: 0, 3, 1, 2, 4>} fields {result_names = ["v35"]} : (!onnx.any) -> !onnx.any
    %47 = onnx.node "Reshape"(%46, %14) fields {result_names = ["v37"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %48 = onnx.node "MatMul"(%38, %47) fields {result_names = ["v38"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %49 = onnx.node "Transpose"(%48) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v39"]} : (!onnx.any) -> !onnx.any
    %50 = onnx.node "Reshape"(%49, %15) fields {result_names = ["v41"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %51 = onnx.node "MatMul"(%50, %16) fields {result_names = ["v43"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %52 = onnx.node "Add"(%arg0, %51) fields {result_names = ["v44"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, !onnx.any) -> !onnx.any
    %53 = onnx.node "MatMul"(%52, %17) fields {result_names = ["v46"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %54 = onnx.node "Reshape"(%53, %3) fields {result_names = ["v47"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %55 = onnx.node "Transpose"(%54) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v48"]} : (!onnx.any) -> !onnx.any
    %56 = onnx.node "MatMul"(%52, %18) fields {result_names = ["v50"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %57 = onnx.node "Add"(%56, %19) fields {result_names = ["v52"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %58 = onnx.node "Reshape"(%57, %6) fields {result_names = ["v53"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %59 = onnx.node "Gather"(%58, %20) {axis = 2 : i64} fields {result_names = ["v55"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %60 = onnx.node "Transpose"(%59) {perm = array<i64: 0, 2, 3, 1>} fields {result_names = ["v56"]} : (!onnx.any) -> !onnx.any
    %61 = onnx.node "MatMul"(%55, %60) fields {result_names = ["v57"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %62 = onnx.node "Div"(%61, %0) fields {result_names = ["v58"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %63 = onnx.node "Add"(%62, %1) fields {result_names = ["v59"]} : (!onnx.any, tensor<4x1x1xf32>) -> !onnx.any
    %64 = onnx.node "Softmax"(%63) {axis = -1 : i64} fields {result_names = ["v60"]} : (!onnx.any) -> !onnx.any
    %65 = onnx.node "MatMul"(%52, %21) fields {result_names = ["v62"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %66 = onnx.node "Add"(%65, %22) fields {result_names = ["v64"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %67 = onnx.node "Reshape"(%66, %6) fields {result_names = ["v65"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %68 = onnx.node "Gather"(%67, %20) {axis = 2 : i64} fields {result_names = ["v66"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %69 = onnx.node "Transpose"(%68) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v67"]} : (!onnx.any) -> !onnx.any
    %70 = onnx.node "MatMul"(%64, %69) fields {result_names = ["v68"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %71 = onnx.node "Transpose"(%70) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v69"]} : (!onnx.any) -> !onnx.any
    %72 = onnx.node "Reshape"(%71, %15) fields {result_names = ["v70"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %73 = onnx.node "MatMul"(%72, %23) fields {result_names = ["v72"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %74 = onnx.node "Add"(%52, %73) fields {result_names = ["v73"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %75 = onnx.node "Identity"(%74) fields {result_names = ["y"]} : (!onnx.any) -> tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
    return %75 : tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
  }
}

