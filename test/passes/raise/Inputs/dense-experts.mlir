module attributes {onnx.graph_name = "g", onnx.ir_version = 8 : i64, onnx.opset_import = {ai.onnx = 17 : i64}} {
  onnx.initializer @onoff : tensor<2xf32> = dense<[0.000000e+00, 1.000000e+00]> : tensor<2xf32>
  onnx.initializer @experts : tensor<1xi32> = dense<4> : tensor<1xi32>
  onnx.initializer @w1 : tensor<8x4xf32> = dense<[[-0.40096572, -0.66217947, -0.124180809, 0.210222617], [0.568023264, 5.485320e-02, -0.276323646, -0.392390192], [0.3743729, 0.817391514, 0.136384383, -0.61666435], [-0.479132593, 0.800009548, 0.101441219, -0.866067409], [-0.041848097, -5.816130e-01, -0.314644039, -0.244002908], [-0.3566567, 0.276689231, -0.0315429866, -0.294715643], [0.204818919, 0.414927661, -0.821511685, -0.12836507], [-0.490373671, -0.0865776092, -0.644709349, 0.0103451973]]> : tensor<8x4xf32>
  onnx.initializer @c3 : tensor<2xi64> = dense<[-1, 4]> : tensor<2xi64>
  onnx.initializer @c6 : tensor<1xi64> = dense<2> : tensor<1xi64>
  onnx.initializer @c9 : tensor<1xi64> = dense<-1> : tensor<1xi64>
  onnx.initializer @c17 : tensor<1xi64> = dense<1> : tensor<1xi64>
  onnx.initializer @w21 : tensor<8x24xf32> = dense<"0x142E9BBC28D21BBE752206BF76D94ABEAAB00BBF7B772DBF3B2EE63D2EFF0DBF43CC153F4A72B73E75B87FBF7A540B3E0D050DBF0267873C76B7B23CDE847EBF5006EFBDE9F602BEAB45F63EA63917BF50F0BC3E24AB0CBFF69E29BE4029D7BE0770393F6A76913E81A19B3FA254A43E7251D83EFE36D73EE54A9BBE136B0FBD8BD92C3FB4084BBEAA54C13DD3DC2DBC9DF59B3E52D53ABEC1049CBDD632F83DCCFD523DDB6EDDBE0A52E53EA23426BF28BE19BFB12824BF7F8BF73EA9A138BED795F8BE266911BF809E573E050507BF75D322BFA62E9D3EB82D19BF9D1625BEE98F5DBBFF0264BEA191DDBCEE5C2B3F2D5384BEFA3021BF7C1A6BBF35AED1BD085B34BEFFB9073E78B16DBE1A1075BE26A8B8BEFA0E85BE7812A43D98BD42BE75B44D3D1A5A733FF94E753E50BD49BF4CE45D3F3314323E7600F1BE5C34E83E80A2103CF67E9DBEA42DA2BE8C51FEBE6918C53CFCCE083F3B6D26BE4276573E2B15703FB5771BBFF7D9033E4DE51CBEB49507BFF64E03BF8A6EFABB58235E3E451688BE9FC8DE3CABE2B83EE0D6173E2B61DE3E0C3C6C3EE1DB793E25CF693F31889F3E1594843DE1BEB53EB04BEBBEA4E72CBE8610CB3E3D7BA13EB730463F1197AB3B8F2D3BBF633F793FE9E30B3FB58407BFFD1A303FCCB8843CD12E68BFA13857BE864782BEEAA04B3F04C5CABE22DA01BE98B30DBEB80842BEC200EABE5258E03DBCD4093F00BD9F3E9570EDBE2A2D13BF68A8733D70E2B4BE8952A1BE3B0057BFB5A9793F8EA7EA3EFE51F9BE7880E83E9ED62B3F71EE98BFA5878CBE6DA446BE01F4A53EDDC278BD31F6EBBDD616EFBCC7396D3F1F3D8A3F065B86BE541EEDBECA52AC3F8BD0FABE7ACA92BE7ED6953C0D6C773E70B7033F2B2E483E7F54DFBE46A2813E65EAFF3DE23E703FB7C1F5BBEE212BBF36C305BF9E9E393F0A468ABE92AF86BFBCA894BE4855FD369B2B183F18DA01BFC2ABAA3EB998CB3E1D0BB3BE8417C0BD587D623FD8385C3F7D03DB3EE0F4293E21B4113FB50D90BD27C042BD9040DCBE0E4D363B55F827BD2E83B13FAE78C5BD2AAA223F0E06293F"> : tensor<8x24xf32>
  onnx.initializer @c23 : tensor<3xi64> = dense<[-1, 4, 6]> : tensor<3xi64>
  onnx.initializer @w26 : tensor<8x24xf32> = dense<"0x46F4BEBDCFAE153FEA508BBF2F69423D7C75DB3EA07699BFB95F14BF6C2D073FEA9603BEC6910CBFEE473FBE11E78ABE6175B93EBB63683E177A0FBEE653AABEBAACDCBCB69E293F8DB3323EF091A33E474C9ABD3C5A25BFD8F9B5BE71B7A63EF762533D0D62E7BE61164FBF31AD623D02D72DBEB27833BEAAAD28BE035C113EDAC1163E0F4EF63E09ADED3E07822A3FCF6DCE3ED1D42BBE1D49DEBCC3097D3EA1DE1EBE05A88C3E7AA9133F751ECDBEF29B62BFB0C9183F3B7D113C636BB53EFB882ABFB3D25D3F3116BD3E971981BDC73734BE3E42693D9FBBAABD79B00EBE0D4F0FBFBDA3213F361CA2BC92DA183DBD4A3E3D08ED96BFBEF2863EFF8628BEC11514BEF2EC0E3D29F4F8BECEE7D73E2F24B2BE2256E7BE75B8DCBE1190A23D67EBBE3E695598BECC4D41BFB2FF073FA95408BF34F0183F5A65DEBC0FC7B2BEA8D9A3BEB9796C3EDFADE33E23EDCABD4B6AF23E0D91853FC84ED5BD112113BF97F606BF82F631BF1DC1A3BE9949B9BEFC9C29BF28BA873E2E20A7BFF10F29BFE3F9803FB6D6043FADD5853EDC1D6A3E12AE623F061F893EBCE01E3DE3751DBFA1DE16BDD2DFBBBEE7C7B4BE5DD8B6BEA1DFB6BCDBCF28BE1901DF3E50C029BF9889ADBD04046E3FD0529F3C396C193FBE84113FEA87283F61F5BC3E75B230BF0BE708BE58BB42BEE44046BFE4816DBE9E0220BFCA3055BF30F5D73DC38CB2BCA314B0BEA159F3BEE5908ABE37C649BED5F350BE14E4D7BC30FF5EBE3121463EDEDA853EB23A373E27C1A9BE59D39DBE82A65E3E95C5C9BDD9BFB0BCDA7C9FBF81CEACBFB09E2C3EEABB283EFA5B323F259EB83E7F0FE33D8F0A063C6E9F36BFD117E23E9D849ABED2A2803EB8D7CC3D4D500B3E5D86E43EBBCF7ABEB14346BEBD19DBBE121A41BE8C3D553FE7043ABE46C2173F7C75D33E36B2BA3E6692CD3ED0D301BF89343F3E16514B3FAF1FB2BE5CF3C0BCBC6CB0BE554F223E460D0ABFFD094E3F7DF040BEEF7545BFA338653F3074F83E2BBD843EA857883E4D3137BE9AA7E4BD5359B93E78E9EA3EB0BFEE3EF7A6D93D6CCA6EBE8AB2C4BD5D070E3F"> : tensor<8x24xf32>
  onnx.initializer @w33 : tensor<4x6x8xf32> = dense<"0x3D4F383F7FC02EBE316174BEB5AF1F3F1041B93E837FB23E8DFA27BF235D3FBEBFD683BEF5E4D43D2EAC57BFCCC8223FE0AA193EF5A25E3EE99117BF896F58BCD2D52A3FC9EB48BFA18D1C3EE1E4B23E7223B1BEE292D03ECFFE28BEFE681D3F030B873E2CC0E53D1492803F2BF7D43E6081273F2E4218BF0A88A5BE6329D63E2ED6E73EA84FE4BC289CC73E237807BF9FF7DA3D33DA12BF435F2E3E86EB78BE6A18A4BED099E63C88A2683F698101BF540C9ABE38A9083FBBDD58BE4077623FD4DEE33D3A9D393D85B9363EF9DE5E3FC6C5A73E3F47843E80F3003E57FD47BF30A1E2BE38DE3D3F9E66D23E778D813E8B16A33EEA288BBEA7092D3E7A9AE6BEA460483E8FD1B6BE96F3DABDFE25683EB85027BEEEC7A53ED97D693EE60A383E5086293F41A83CBFFA524CBF06C29D3EE2D7F03EB7BE803F0C9AC13EF888D43E8911E2BED2ABC03EB580AC3E972607BF1075E5BE546463BDFF95133E5E77BCBF56FC0F3D1F65EC3D9714B5BD469D083E8B6C693E5B7D01BF9115553E56AB00BE1D25F2BE0129D63D206B3E3F11E53ABF1B9953BFF39A53BF8D187D3F96CF00BE62A8F3BC075DC9BE30C1F0BE14B881BFFD7EAE3D06E5043E11FF7CBFEA8505BF3D7EBEBE190355BCFFFCF93DFC19103F7FA62E3F1EC3083F35B72B3F244D15BF2CF38DBECE61123F63CB133E4A5E193C7C4F7DBFACFB6DBF921BBB3E1AE32E3EDD9417BE087153BEEEF05CBFE90F3E3EE767043FA932523FE044C93CEF18D1BDA2490CBF40931C3F3E7A5A3FB6F89CBE55DE143E40B1393D59E692BE37D69FBF3C643BBE76819B3E1FBE38BFECC0D6BEDB25D2BF676B243F1D12803EB247BA3C7D7B0ABEFE24A3BE2C6521BD99E11EBE3951FEBD867D8ABCA6AA803DED44463F008739BFC020063E38E39FBE85DA11BF1C9097BF495D9B3E7E89FDBEC87AC2BE38756B3EECF60BBF1471033CC7D52DBD40B6CA3E0115003F5D79E0BECD3CE83E789D5ABD6902673D9CDAE3BD68FAC33E10711CBF0C0B003E4638153FE75B16BE2F23813FB0F3BEBEB895D03D2F377CBEC8F5A0BE441910BF28D18CBE4DECFEBC"> : tensor<4x6x8xf32>
  onnx.initializer @c36 : tensor<1xi64> = dense<0> : tensor<1xi64>
  onnx.initializer @w41 : tensor<8x4xf32> = dense<[[-0.406548589, 0.436197877, 0.755163312, -0.769448101], [0.412421674, 0.0890300423, 0.116660357, 1.22524965], [0.597162306, 0.162154928, 0.0865570754, -1.08285856], [0.386195451, -0.374343485, 0.0878663137, 0.0488153137], [0.480175763, 1.0152514, 0.491801143, 0.636474311], [-0.117271602, 0.227886751, 0.384624451, -0.719814121], [1.0207715, -0.357434124, -0.638771653, 0.817022085], [1.05921936, -0.351552874, -3.066550e-01, 1.55595648]]> : tensor<8x4xf32>
  onnx.initializer @w55 : tensor<8x48xf32> = #onnx.file<"/tmp/gqa/t/dense-experts.onnx", 4629, 1536> : tensor<8x48xf32>
  onnx.initializer @c57 : tensor<3xi64> = dense<[-1, 4, 12]> : tensor<3xi64>
  onnx.initializer @w59 : tensor<1x4x12xf32> = dense<[[[-0.260849714, 0.509739518, 0.046483729, 0.503096223, 0.702191054, 0.129248932, -0.419569403, -0.0943504348, 0.428884059, -0.0818566829, 0.627678871, 0.0610162467], [0.109198153, -0.268372625, -0.0040678652, 0.593137443, -0.125391945, -0.121574625, -0.345452368, 0.433115482, -0.719035149, -0.286578536, 0.493738979, 0.748657823], [-0.0748214871, 0.516991794, -0.957494854, 0.41191572, 0.178639174, -0.579643905, -0.858380138, -0.221759081, 0.160081834, 0.214276761, 0.0851644278, 0.415014684], [0.379597366, -0.662577211, -0.16283685, -0.227340937, 0.541283369, -0.218404025, 0.53039813, 0.0734402239, 1.2002337, 0.00287285866, 0.0297586527, -0.0283884015]]]> : tensor<1x4x12xf32>
  onnx.initializer @c61 : tensor<2xi64> = dense<0> : tensor<2xi64>
  onnx.initializer @c62 : tensor<2xi64> = dense<1000000000> : tensor<2xi64>
  onnx.initializer @c63 : tensor<2xi64> = dense<[1, 2]> : tensor<2xi64>
  onnx.initializer @c65 : tensor<2xi64> = dense<[0, 1]> : tensor<2xi64>
  onnx.initializer @w71 : tensor<4x6x8xf32> = dense<"0x35AACE3D78E79E3FD82F66BE2F77D1BEC17694BD803FB93E87DAEFBE3997D83E7A0DD03E19566FBD16DDD1BDCFDCBDBE1059EABDBF3EC1BE48AA243F11AC553F066BF7BD2CEE5239B7CB6DBF86847ABE7020413EC9DE1E3E2598A33D2689E13EF38C813D929F34BEBA30513F6AF270BFD6C10FBF90BFB4BE19EBB2BE13D7BEBEB666CBBD6508B0BE07A08DBC7B119C3EF194BF3CDF60993D2AF2EABE5D290FBFEF4D0EBED8A7EF3ECC22463EE32F0C3F8D25003F6BA9103F7414CBBE414D1F3F47F0C33E2BF2843F8803993E78C12B3EA48070BDFBB2B33D32F750BFA985F2BD0D8855BC521CFF3EA4FAA3BEBD28933D2FED693F8B9783BE7E91D93E0FA084BEFD8832BD36A2703E6CA3E33E7C1C74BEC04400BF0C6A423FEDBDCA3DE6DDCC3EF927EB3EC7A9C33EA910FCBD1CAB79BD298443BF35EDC33D876967BE7A5F9DBB648F6E3F9999B13EE015063D60972ABF7DD4BB3ED952423F6FEBCCBE6D7A5D3E39037FBE32E88BBD902332BEDDC949BFD2737CBEA2E94ABFBA69303F54FA043FD58EE13C79D4123EE6C10C3D9B99D43DB4D2D13DF8F4E4BD68859BBD41BC27BFCF18F9BE7B7895BE339FDD3DD1E934BEA764713F09EAB1BD3CFB2CBE5E39603E5324033F6BAC6A3FA08BF83E413A90BE54AA9BBD90FC053F6FBA093E3E2CCD3E86C3E4BC1C4B4B3F8805383F73C30F3FBD83B23DBE4C47BF264826BF924E2F3E20F0A93EB4E0B4BFC3D260BE4A7B133FC4C1F53E9A706BBED56AA63EFC1AEA3C8809BEBD42CE0F3FD34E123FAF8B77BEF2D2E4BE5FB61FBF43EE2DBF07DE2A3FA1B26E3FF942F63DD80D083F7308A2BE960782BC9E6AEE3E29A1303E9C41A63A6C0A4BBF9BBD30BF20953BBE859180BE20208BBC8A9095BE253BB2BDA902483D67808A3EF27A513D317B7EBEC73BEFBD1556EB3E8704A8BDF4F4E7BEF22FF2BE2C501F3EB766943EF3F81C3F9D2E0FBE10D02F3F56A91CBE2154C7BDCB9285BEF7888A3E4E6B063F85B0233B6DC86ABEF2883CBFAC42B03D4FDB1CBEE615ADBD036796BE0259D3BE5E0749BE2E4A6B3EDD63F43ECDE2B83BA00F2C3E231FAEBD"> : tensor<4x6x8xf32>
  onnx.initializer @w73 : tensor<4x1x8xf32> = dense<[[[-0.0499147624, -0.653549969, 0.438990891, 0.299630344, 0.717215597, -0.287278503, 7.232630e-02, -0.437972575]], [[0.126979277, -0.0494883843, 0.338374227, -0.0602012686, 0.322491765, -0.227324203, 0.299076855, -0.135818496]], [[-0.200967848, 0.0535555705, 0.18949613, -0.672191619, -0.723588645, 0.102843426, -0.0160510987, -9.734990e-01]], [[-0.813668251, -0.360405058, 0.166701108, 0.110708021, 0.499915212, 0.579642117, 1.1600163, -0.686179935]]]> : tensor<4x1x8xf32>
  onnx.initializer @c77 : tensor<2xi64> = dense<[-1, 8]> : tensor<2xi64>
  func.func @main_graph(%arg0: tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "x"}) -> (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "y"}) {
    %0 = onnx.weight @onoff : tensor<2xf32>
    %1 = onnx.weight @experts : tensor<1xi32>
    %2 = onnx.weight @w1 : tensor<8x4xf32>
    %3 = onnx.weight @c3 : tensor<2xi64>
    %4 = onnx.weight @c6 : tensor<1xi64>
    %5 = onnx.weight @c9 : tensor<1xi64>
    %6 = onnx.weight @c17 : tensor<1xi64>
    %7 = onnx.weight @w21 : tensor<8x24xf32>
    %8 = onnx.weight @c23 : tensor<3xi64>
    %9 = onnx.weight @w26 : tensor<8x24xf32>
    %10 = onnx.weight @w33 : tensor<4x6x8xf32>
    %11 = onnx.weight @c36 : tensor<1xi64>
    %12 = onnx.weight @w41 : tensor<8x4xf32>
    %13 = onnx.weight @w55 : tensor<8x48xf32>
    %14 = onnx.weight @c57 : tensor<3xi64>
    %15 = onnx.weight @w59 : tensor<1x4x12xf32>
    %16 = onnx.weight @c61 : tensor<2xi64>
    %17 = onnx.weight @c62 : tensor<2xi64>
    %18 = onnx.weight @c63 : tensor<2xi64>
    %19 = onnx.weight @c65 : tensor<2xi64>
    %20 = onnx.weight @w71 : tensor<4x6x8xf32>
    %21 = onnx.weight @w73 : tensor<4x1x8xf32>
    %22 = onnx.weight @c77 : tensor<2xi64>
    %23 = onnx.node "MatMul"(%arg0, %2) fields {result_names = ["v2"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x4xf32>) -> !onnx.any
    %24 = onnx.node "Reshape"(%23, %3) fields {result_names = ["v4"]} : (!onnx.any, tensor<2xi64>) -> !onnx.any
    %25 = onnx.node "Softmax"(%24) {axis = -1 : i64} fields {result_names = ["v5"]} : (!onnx.any) -> !onnx.any
    %26:2 = onnx.node "TopK"(%25, %4) {axis = -1 : i64} fields {result_names = ["v7", "v8"]} : (!onnx.any, tensor<1xi64>) -> (!onnx.any, !onnx.any)
    %27 = onnx.node "ReduceSum"(%26#0, %5) {keepdims = 1 : i64} fields {result_names = ["v10"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %28 = onnx.node "Div"(%26#0, %27) fields {result_names = ["v11"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %29 = onnx.node "Cast"(%26#1) {to = 6 : i64} fields {result_names = ["v12"]} : (!onnx.any) -> !onnx.any
    %30 = onnx.node "Cast"(%29) {to = 7 : i64} fields {result_names = ["v13"]} : (!onnx.any) -> !onnx.any
    %31 = onnx.node "OneHot"(%30, %1, %0) {axis = -1 : i64} fields {result_names = ["v14"]} : (!onnx.any, tensor<1xi32>, tensor<2xf32>) -> !onnx.any
    %32 = onnx.node "Unsqueeze"(%28, %4) fields {result_names = ["v15"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %33 = onnx.node "Mul"(%31, %32) fields {result_names = ["v16"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %34 = onnx.node "ReduceSum"(%33, %6) {keepdims = 0 : i64} fields {result_names = ["v18"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %35 = onnx.node "Transpose"(%34) {perm = array<i64: 1, 0>} fields {result_names = ["v19"]} : (!onnx.any) -> !onnx.any
    %36 = onnx.node "Unsqueeze"(%35, %4) fields {result_names = ["v20"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %37 = onnx.node "MatMul"(%arg0, %7) fields {result_names = ["v22"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x24xf32>) -> !onnx.any
    %38 = onnx.node "Reshape"(%37, %8) fields {result_names = ["v24"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %39 = onnx.node "Transpose"(%38) {perm = array<i64: 1, 0, 2>} fields {result_names = ["v25"]} : (!onnx.any) -> !onnx.any
    %40 = onnx.node "MatMul"(%arg0, %9) fields {result_names = ["v27"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x24xf32>) -> !onnx.any
    %41 = onnx.node "Reshape"(%40, %8) fields {result_names = ["v28"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %42 = onnx.node "Transpose"(%41) {perm = array<i64: 1, 0, 2>} fields {result_names = ["v29"]} : (!onnx.any) -> !onnx.any
    %43 = onnx.node "Sigmoid"(%42) fields {result_names = ["v30"]} : (!onnx.any) -> !onnx.any
    %44 = onnx.node "Mul"(%42, %43) fields {result_names = ["v31"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %45 = onnx.node "Mul"(%44, %39) fields {result_names = ["v32"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %46 = onnx.node "MatMul"(%45, %10) fields {result_names = ["v34"]} : (!onnx.any, tensor<4x6x8xf32>) -> !onnx.any
    %47 = onnx.node "Mul"(%46, %36) fields {result_names = ["v35"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %48 = onnx.node "ReduceSum"(%47, %11) {keepdims = 0 : i64} fields {result_names = ["v37"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %49 = onnx.node "Shape"(%arg0) fields {result_names = ["v38"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>) -> !onnx.any
    %50 = onnx.node "Reshape"(%48, %49) fields {result_names = ["v39"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %51 = onnx.node "Add"(%arg0, %50) fields {result_names = ["v40"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, !onnx.any) -> !onnx.any
    %52 = onnx.node "MatMul"(%51, %12) fields {result_names = ["v42"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %53 = onnx.node "Reshape"(%52, %3) fields {result_names = ["v43"]} : (!onnx.any, tensor<2xi64>) -> !onnx.any
    %54:2 = onnx.node "TopK"(%53, %4) {axis = -1 : i64} fields {result_names = ["v44", "v45"]} : (!onnx.any, tensor<1xi64>) -> (!onnx.any, !onnx.any)
    %55 = onnx.node "Softmax"(%54#0) {axis = -1 : i64} fields {result_names = ["v46"]} : (!onnx.any) -> !onnx.any
    %56 = onnx.node "Cast"(%54#1) {to = 6 : i64} fields {result_names = ["v47"]} : (!onnx.any) -> !onnx.any
    %57 = onnx.node "Cast"(%56) {to = 7 : i64} fields {result_names = ["v48"]} : (!onnx.any) -> !onnx.any
    %58 = onnx.node "OneHot"(%57, %1, %0) {axis = -1 : i64} fields {result_names = ["v49"]} : (!onnx.any, tensor<1xi32>, tensor<2xf32>) -> !onnx.any
    %59 = onnx.node "Unsqueeze"(%55, %4) fields {result_names = ["v50"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %60 = onnx.node "Mul"(%58, %59) fields {result_names = ["v51"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %61 = onnx.node "ReduceSum"(%60, %6) {keepdims = 0 : i64} fields {result_names = ["v52"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %62 = onnx.node "Transpose"(%61) {perm = array<i64: 1, 0>} fields {result_names = ["v53"]} : (!onnx.any) -> !onnx.any
    %63 = onnx.node "Unsqueeze"(%62, %4) fields {result_names = ["v54"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %64 = onnx.node "MatMul"(%51, %13) fields {result_names = ["v56"]} : (!onnx.any, tensor<8x48xf32>) -> !onnx.any
    %65 = onnx.node "Reshape"(%64, %14) fields {result_names = ["v58"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %66 = onnx.node "Add"(%65, %15) fields {result_names = ["v60"]} : (!onnx.any, tensor<1x4x12xf32>) -> !onnx.any
    %67 = onnx.node "Slice"(%66, %16, %17, %18, %18) fields {result_names = ["v64"]} : (!onnx.any, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> !onnx.any
    %68 = onnx.node "Slice"(%66, %19, %17, %18, %18) fields {result_names = ["v66"]} : (!onnx.any, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> !onnx.any
    %69 = onnx.node "Sigmoid"(%67) fields {result_names = ["v67"]} : (!onnx.any) -> !onnx.any
    %70 = onnx.node "Mul"(%67, %69) fields {result_names = ["v68"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %71 = onnx.node "Mul"(%70, %68) fields {result_names = ["v69"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %72 = onnx.node "Transpose"(%71) {perm = array<i64: 1, 0, 2>} fields {result_names = ["v70"]} : (!onnx.any) -> !onnx.any
    %73 = onnx.node "MatMul"(%72, %20) fields {result_names = ["v72"]} : (!onnx.any, tensor<4x6x8xf32>) -> !onnx.any
    %74 = onnx.node "Add"(%73, %21) fields {result_names = ["v74"]} : (!onnx.any, tensor<4x1x8xf32>) -> !onnx.any
    %75 = onnx.node "Mul"(%74, %63) fields {result_names = ["v75"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %76 = onnx.node "ReduceSum"(%75, %11) {keepdims = 0 : i64} fields {result_names = ["v76"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %77 = onnx.node "Reshape"(%51, %22) fields {result_names = ["v78"]} : (!onnx.any, tensor<2xi64>) -> !onnx.any
    %78 = onnx.node "Add"(%76, %77) fields {result_names = ["v79"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %79 = onnx.node "Shape"(%51) fields {result_names = ["v80"]} : (!onnx.any) -> !onnx.any
    %80 = onnx.node "Reshape"(%78, %79) fields {result_names = ["v81"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %81 = onnx.node "Identity"(%80) fields {result_names = ["y"]} : (!onnx.any) -> tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
    return %81 : tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
  }
}

